// The table of runs. Only the rows on screen exist, so that a thousand runs scroll as ten do.
import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import type { RunSummary } from '../lib/api.ts';
import { go, linkTo } from '../lib/router.ts';
import type { Order } from './order.ts';
import { RunRow } from './run_row.tsx';
import './runs_table.css';

const ROW_HEIGHT = 44;
/** Rows kept ready above and below the screen. */
const MARGIN = 8;

interface RunsTableProps {
  runs: readonly RunSummary[];
  columns: readonly string[];
  order: Order;
  onOrder: (order: Order) => void;
  selected: ReadonlySet<string>;
  onSelect: (ids: ReadonlySet<string>) => void;
  onEdit: (run: RunSummary) => void;
  onDelete: (run: RunSummary) => void;
}

export function RunsTable(props: RunsTableProps) {
  const { runs, columns, order, onOrder, selected, onSelect, onEdit, onDelete } = props;
  const words = t.value.runsPage;
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  /** the row that keys act on; known at once, while the focus follows with the next drawing */
  const active = useRef(0);
  const [focus, setFocus] = useState<{ row: number } | null>(null);

  useEffect(() => {
    const box = scroller.current!;
    const look = (): void => setView({ top: box.scrollTop, height: box.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(box);
    box.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener('scroll', look);
    };
  }, []);

  useEffect(() => {
    if (focus) scroller.current!.querySelector<HTMLElement>(`[data-row="${focus.row}"]`)?.focus();
  }, [focus]);

  const first = Math.max(0, Math.floor(view.top / ROW_HEIGHT) - MARGIN);
  const last = Math.min(runs.length, Math.ceil((view.top + view.height) / ROW_HEIGHT) + MARGIN);

  const move = (to: number): void => {
    const row = Math.min(runs.length - 1, Math.max(0, to));
    const box = scroller.current!;
    const head = box.querySelector('thead')!.clientHeight;
    const top = row * ROW_HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW_HEIGHT + head > box.scrollTop + box.clientHeight)
      box.scrollTop = top + ROW_HEIGHT + head - box.clientHeight;
    setView({ top: box.scrollTop, height: box.clientHeight });
    active.current = row;
    setFocus({ row });
  };
  const toggle = (run: RunSummary): void => {
    const next = new Set(selected);
    if (!next.delete(run.id)) next.add(run.id);
    onSelect(next);
  };
  const onKey = (event: KeyboardEvent): void => {
    const inRow = (event.target as HTMLElement).closest('tr[data-index]') !== null;
    if (!inRow || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = active.current;
    const page = Math.max(1, Math.floor(view.height / ROW_HEIGHT) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key];
    if (step !== undefined) move(index + step);
    else if (event.key === 'Home') move(0);
    else if (event.key === 'End') move(runs.length - 1);
    else if (event.key === 'x') toggle(runs[index]!);
    else return;
    event.preventDefault();
  };

  const all = runs.length > 0 && runs.every((run) => selected.has(run.id));
  const heads: { by: string; title: string; class: string }[] = [
    { by: 'name', title: words.name, class: 'name' },
    { by: 'status', title: words.state, class: 'state' },
    ...columns.map((key) => ({ by: `metric:${key}`, title: key, class: 'value' })),
    { by: 'step', title: words.step, class: 'value step' },
    { by: 'duration', title: words.duration, class: 'value duration' },
    { by: 'createdAt', title: words.started, class: 'started' },
  ];
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys move between the links of the rows within.
    <div
      class="runs-scroller"
      ref={scroller}
      onKeyDown={onKey}
      onFocusIn={(event) => {
        const row = (event.target as HTMLElement).closest<HTMLElement>('tr[data-index]');
        if (row) active.current = Number(row.dataset.index);
      }}
    >
      <table class="runs" aria-rowcount={runs.length + 1}>
        <thead>
          <tr>
            <th class="select">
              <input
                type="checkbox"
                aria-label={words.selectAll}
                checked={all}
                onChange={() => onSelect(all ? new Set() : new Set(runs.map((run) => run.id)))}
              />
            </th>
            {heads.map((head) => (
              <th
                key={head.by}
                class={head.class}
                aria-sort={order.by === head.by ? (order.descending ? 'descending' : 'ascending') : undefined}
              >
                <button
                  type="button"
                  class="plain"
                  title={words.sortBy(head.title)}
                  onClick={() => onOrder({ by: head.by, descending: order.by === head.by ? !order.descending : true })}
                >
                  <span>{head.title}</span>
                  <span class="arrow" aria-hidden="true">
                    {order.by === head.by ? (order.descending ? '↓' : '↑') : ''}
                  </span>
                </button>
              </th>
            ))}
            <th class="actions">
              <span class="visually-hidden">{words.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          <Space rows={first} />
          {runs.slice(first, last).map((run, i) => (
            <RunRow
              key={run.id}
              run={run}
              index={first + i}
              columns={columns}
              selected={selected.has(run.id)}
              onToggle={() => toggle(run)}
              onOpen={() => go(linkTo([run.id]))}
              onEdit={() => onEdit(run)}
              onDelete={() => onDelete(run)}
            />
          ))}
          <Space rows={runs.length - last} />
        </tbody>
      </table>
    </div>
  );
}

/** The height of the rows that are not there. */
function Space({ rows }: { rows: number }) {
  if (rows <= 0) return null;
  return (
    <tr class="space">
      <td style={{ height: `${rows * ROW_HEIGHT}px` }} />
    </tr>
  );
}
