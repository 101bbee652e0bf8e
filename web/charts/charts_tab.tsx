// Every metric of the runs on screen, grouped by the part of its name before the first slash.
import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { colorOf } from '../lib/colors.ts';
import type { TabProps } from '../run/run_page.tsx';
import { Notice } from '../shell/notice.tsx';
import { SearchField } from '../shell/search_field.tsx';
import { ChartCard } from './chart_card.tsx';
import { AXES, type Axis, axis, logScale, smoothing, zoom } from './settings.ts';

export function ChartsTab({ runs }: TabProps) {
  const words = t.value.charts;
  const [filter, setFilter] = useState('');
  const ids = runs.map((run) => run.id).join();
  // A span of these runs' steps means nothing to others.
  useEffect(() => {
    zoom.value = null;
  }, [ids]);

  const keys = [...new Set(runs.flatMap((run) => run.keys))].sort();
  if (keys.length === 0)
    return (
      <Notice title={words.emptyTitle}>
        <p>{words.emptyHint}</p>
      </Notice>
    );
  const wanted = filter.trim().toLowerCase();
  const shown = keys.filter((key) => key.toLowerCase().includes(wanted));
  return (
    <>
      <ChartToolbar filter={filter} onFilter={setFilter} />
      {shown.length === 0 && <Notice title={words.noMatch} />}
      {grouped(shown).map(([group, members]) => (
        <section class="chart-section" key={group}>
          <h2>{group === '' ? words.other : group}</h2>
          <div class="chart-grid">
            {members.map((key) => (
              <ChartCard
                key={key}
                title={key}
                source="scalars"
                axis={axis.value}
                zoom={zoom.value}
                onZoom={(next) => {
                  zoom.value = next;
                }}
                curves={runs.flatMap((run, i) =>
                  run.keys.includes(key) ? [{ run: run.id, key, name: run.name, color: colorOf(i) }] : [],
                )}
              />
            ))}
          </div>
        </section>
      ))}
      <p class="chart-hint muted">{words.hint}</p>
    </>
  );
}

function ChartToolbar({ filter, onFilter }: { filter: string; onFilter: (text: string) => void }) {
  const words = t.value.charts;
  const axisNames: Record<Axis, string> = {
    step: words.axisStep,
    relative: words.axisRelative,
    time: words.axisTime,
  };
  return (
    <div class="toolbar chart-toolbar">
      <SearchField label={words.filter} value={filter} onInput={onFilter} />
      <label>
        {words.smoothing}
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={smoothing.value}
          onInput={(event) => {
            smoothing.value = event.currentTarget.valueAsNumber;
          }}
        />
        <output class="number muted">{smoothing.value.toFixed(2)}</output>
      </label>
      <select
        aria-label={words.axis}
        value={axis.value}
        onChange={(event) => {
          axis.value = AXES.find((name) => name === event.currentTarget.value) ?? 'step';
          zoom.value = null;
        }}
      >
        {AXES.map((name) => (
          <option key={name} value={name}>
            {axisNames[name]}
          </option>
        ))}
      </select>
      <label class="check">
        <input
          type="checkbox"
          checked={logScale.value}
          onChange={(event) => {
            logScale.value = event.currentTarget.checked;
          }}
        />
        {words.logScale}
      </label>
      {zoom.value && (
        <button
          type="button"
          onClick={() => {
            zoom.value = null;
          }}
        >
          {words.resetZoom}
        </button>
      )}
    </div>
  );
}

/** What stands first among groups, and within one: what training watches most. */
const FIRST = [/^train$/, /^eval$/, /(^|\/)loss$/, /exact/, /distance/, /grad_norm/, /learning_rate/];

function rank(name: string): number {
  const place = FIRST.findIndex((pattern) => pattern.test(name));
  return place < 0 ? FIRST.length : place;
}

const byRank = (a: string, b: string): number => rank(a) - rank(b) || a.localeCompare(b);

/** Metrics by the part of their name before the first slash; those without one are a group without a name, the last. */
function grouped(keys: readonly string[]): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const key of [...keys].sort(byRank)) {
    const slash = key.indexOf('/');
    const group = slash > 0 ? key.slice(0, slash) : '';
    groups.set(group, [...(groups.get(group) ?? []), key]);
  }
  return [...groups].sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : byRank(a, b)));
}
