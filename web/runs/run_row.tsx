// One run in the table.
import { language, t } from '../i18n/index.ts';
import type { RunSummary } from '../lib/api.ts';
import { formatAgo, formatDate, formatDuration, formatNumber } from '../lib/format.ts';
import { now } from '../lib/now.ts';
import { linkTo } from '../lib/router.ts';
import { StatusBadge } from '../shell/status_badge.tsx';
import { Tags } from '../shell/tags.tsx';
import { durationOf } from './order.ts';

interface RunRowProps {
  run: RunSummary;
  index: number;
  columns: readonly string[];
  selected: boolean;
  onToggle: () => void;
  onOpen: () => void;
  onEdit: () => void;
  onDelete: () => void;
}

export function RunRow({ run, index, columns, selected, onToggle, onOpen, onEdit, onDelete }: RunRowProps) {
  const words = t.value.runsPage;
  return (
    // The row's link does the same by keyboard; the click is a wider target.
    <tr
      data-index={index}
      aria-rowindex={index + 2}
      class={selected ? 'selected' : undefined}
      onClick={(event) => {
        const control = (event.target as HTMLElement).closest('a, button, input, label');
        if (!control && getSelection()?.isCollapsed !== false) onOpen();
      }}
    >
      <td class="select">
        <input type="checkbox" aria-label={words.select(run.name)} checked={selected} onChange={onToggle} />
      </td>
      <td class="name">
        <div>
          <a href={linkTo([run.id])} data-row={index} title={run.path}>
            {run.name}
          </a>
          <Tags tags={run.tags} />
          {run.notes !== '' && (
            <span class="note muted" title={run.notes}>
              {run.notes}
            </span>
          )}
        </div>
      </td>
      <td class="state">
        <StatusBadge status={run.status} error={run.error} />
      </td>
      {columns.map((key) => (
        <td class="value number" key={key}>
          {run.latest[key] === null ? 'NaN' : formatNumber(run.latest[key])}
        </td>
      ))}
      <td class="value step number">{formatNumber(run.step)}</td>
      <td class="value duration number">{formatDuration(durationOf(run, now.value))}</td>
      <td class="started muted" title={formatDate(run.createdAt, language.value)}>
        {formatAgo(run.createdAt, now.value, language.value)}
      </td>
      <td class="actions">
        <button
          type="button"
          class="plain icon"
          onClick={onEdit}
          aria-label={`${words.edit}: ${run.name}`}
          title={words.edit}
        >
          <span aria-hidden="true">✎</span>
        </button>
        <button
          type="button"
          class="plain icon"
          onClick={onDelete}
          aria-label={`${words.delete}: ${run.name}`}
          title={words.delete}
        >
          <span aria-hidden="true">✕</span>
        </button>
      </td>
    </tr>
  );
}
