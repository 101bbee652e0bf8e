// The heading: what one run is and how it stands, or the runs being compared with their colours.
import { useState } from 'preact/hooks';
import { language, t } from '../i18n/index.ts';
import type { RunDetail } from '../lib/api.ts';
import { colorOf } from '../lib/colors.ts';
import { formatDate, formatDuration, formatNumber } from '../lib/format.ts';
import { now } from '../lib/now.ts';
import { linkTo, RUNS_LINK, type Tab } from '../lib/router.ts';
import { EditDialog } from '../runs/edit_dialog.tsx';
import { durationOf } from '../runs/order.ts';
import { StatusBadge } from '../shell/status_badge.tsx';
import { Tags } from '../shell/tags.tsx';

interface RunHeadProps {
  runs: readonly RunDetail[];
  tab: Tab;
  onChanged: () => void;
}

export function RunHead({ runs, tab, onChanged }: RunHeadProps) {
  const [only] = runs;
  return (
    <div class="run-head">
      <a class="back muted" href={RUNS_LINK}>
        <span aria-hidden="true">← </span>
        {t.value.allRuns}
      </a>
      {runs.length === 1 && only ? <OneRun run={only} onChanged={onChanged} /> : <ManyRuns runs={runs} tab={tab} />}
    </div>
  );
}

function OneRun({ run, onChanged }: { run: RunDetail; onChanged: () => void }) {
  const words = t.value;
  const [editing, setEditing] = useState(false);
  const damaged = Object.values(run.damagedLines).reduce((sum, count) => sum + count, 0);
  return (
    <>
      <div class="page-head">
        <h1>{run.name}</h1>
        <StatusBadge status={run.status} error={run.error} />
        <Tags tags={run.tags} />
        <button
          type="button"
          class="plain icon"
          onClick={() => setEditing(true)}
          aria-label={words.runsPage.edit}
          title={words.runsPage.edit}
        >
          <span aria-hidden="true">✎</span>
        </button>
      </div>
      <p class="facts muted number">
        {run.step !== null && (
          <span>
            {words.run.step} <b>{formatNumber(run.step)}</b>
          </span>
        )}
        <span>{formatDuration(durationOf(run, now.value))}</span>
        <span>{formatDate(run.createdAt, language.value)}</span>
        <span>{run.path}</span>
      </p>
      {run.error !== null && <p class="run-error">{run.error}</p>}
      {damaged > 0 && <p class="run-error">{words.run.damaged(damaged)}</p>}
      {run.notes !== '' && <p class="run-notes">{run.notes}</p>}
      {editing && <EditDialog run={run} onClose={() => setEditing(false)} onDone={onChanged} />}
    </>
  );
}

function ManyRuns({ runs, tab }: { runs: readonly RunDetail[]; tab: Tab }) {
  const words = t.value;
  return (
    <>
      <div class="page-head">
        <h1>{words.runsPage.compare}</h1>
      </div>
      <ul class="compared">
        {runs.map((run, i) => (
          <li key={run.id}>
            <i class="swatch" style={{ background: colorOf(i) }} aria-hidden="true" />
            <a href={linkTo([run.id], tab)} title={run.path}>
              {run.name}
            </a>
            <StatusBadge status={run.status} error={run.error} />
            <a
              class="plain remove"
              href={linkTo(
                runs.filter((other) => other !== run).map((other) => other.id),
                tab,
              )}
              title={words.run.remove(run.name)}
            >
              <span aria-hidden="true">✕</span>
              <span class="visually-hidden">{words.run.remove(run.name)}</span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}
