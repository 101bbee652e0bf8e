// What the runs were told to do and where they ran, key by key; with several runs, what differs stands out.
import { useMemo, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { colorOf } from '../lib/colors.ts';
import { isBoolean, stored } from '../lib/stored.ts';
import type { TabProps } from '../run/run_page.tsx';
import { Notice } from '../shell/notice.tsx';
import { SearchField } from '../shell/search_field.tsx';
import { type ConfigLine, flatten, linesOf } from './flatten.ts';
import './config_tab.css';

const onlyDifferences = stored('onlyDifferences', true, isBoolean);

export function ConfigTab({ runs }: TabProps) {
  const words = t.value.config;
  const [filter, setFilter] = useState('');
  const several = runs.length > 1;
  const lines = useMemo(() => linesOf(runs.map((run) => flatten(run.config))), [runs]);
  const surroundings = useMemo(
    () => linesOf(runs.map((run) => flatten({ ...run.environment, ...(run.git ? { git: run.git } : {}) }))),
    [runs],
  );
  const results = useMemo(() => linesOf(runs.map((run) => flatten(run.summary))), [runs]);
  const different = lines.filter((line) => line.differs).length;
  const reduced = several && onlyDifferences.value;
  const wanted = filter.trim().toLowerCase();
  const keep = (line: ConfigLine): boolean =>
    (!reduced || line.differs) &&
    (wanted === '' || [line.key, ...line.values].some((text) => text?.toLowerCase().includes(wanted)));
  const shown = lines.filter(keep);
  return (
    <>
      <div class="toolbar config-toolbar">
        <SearchField label={words.filter} value={filter} onInput={setFilter} />
        {several && (
          <label class="check">
            <input
              type="checkbox"
              checked={onlyDifferences.value}
              onChange={(event) => {
                onlyDifferences.value = event.currentTarget.checked;
              }}
            />
            {words.onlyDifferences}
          </label>
        )}
        {several && <span class="muted">{words.differs(different)}</span>}
      </div>
      {lines.length === 0 && <Notice title={words.emptyTitle} />}
      {lines.length > 0 && shown.length === 0 && (
        <Notice title={wanted === '' && reduced ? words.same : words.noMatch} />
      )}
      {shown.length > 0 && <Lines lines={shown} runs={runs} title={words.key} />}
      <Section title={words.summary} lines={results.filter(keep)} runs={runs} />
      <Section title={words.environment} lines={surroundings.filter(keep)} runs={runs} />
    </>
  );
}

function Section({ title, lines, runs }: TabProps & { title: string; lines: readonly ConfigLine[] }) {
  if (lines.length === 0) return null;
  return (
    <>
      <h2 class="config-title">{title}</h2>
      <Lines lines={lines} runs={runs} title={t.value.config.key} />
    </>
  );
}

function Lines({ lines, runs, title }: TabProps & { lines: readonly ConfigLine[]; title: string }) {
  const words = t.value.config;
  return (
    <div class="config-box">
      <table class="config">
        {runs.length > 1 && (
          <thead>
            <tr>
              <th scope="col">{title}</th>
              {runs.map((run, i) => (
                <th scope="col" key={run.id}>
                  <i class="swatch" style={{ background: colorOf(i) }} aria-hidden="true" />
                  {run.name}
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {lines.map((line) => (
            <tr key={line.key} class={line.differs ? 'differs' : undefined}>
              <th scope="row">{line.key}</th>
              {line.values.map((value, i) => (
                <td key={runs[i]!.id}>{value === undefined ? <span class="muted">{words.unset}</span> : value}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
