// What a run printed, newest at the bottom, followed while it grows. Lines are text and nothing else.
import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { api, type ConsoleSlice, type RunDetail } from '../lib/api.ts';
import { runVersion } from '../lib/live.ts';
import { useQuery } from '../lib/query.ts';
import type { TabProps } from '../run/run_page.tsx';
import { RunPicker } from '../run/run_picker.tsx';
import { Failure, Loading, Notice } from '../shell/notice.tsx';
import { SearchField } from '../shell/search_field.tsx';
import './console_tab.css';

const FIRST_TAIL = 500;
const MORE = 4;

export function ConsoleTab({ runs }: TabProps) {
  const [chosen, setChosen] = useState(runs[0]!.id);
  const run = runs.find((item) => item.id === chosen) ?? runs[0]!;
  return (
    <>
      <RunPicker runs={runs} value={run} onChange={setChosen} />
      <Log run={run} key={run.id} />
    </>
  );
}

function Log({ run }: { run: RunDetail }) {
  const words = t.value.console;
  const [tail, setTail] = useState(FIRST_TAIL);
  const [filter, setFilter] = useState('');
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const held = useRef<{ tail: number; slice: ConsoleSlice } | null>(null);
  const query = useQuery(
    `${run.id} ${tail}`,
    runVersion(run.id),
    async (abort) => {
      const before = held.current?.tail === tail ? held.current.slice : null;
      const query = before ? { from: String(before.nextByte) } : { tail: String(tail) };
      const next = await api.console(run.id, query, abort);
      const slice = { lines: [...(before?.lines ?? []), ...next.lines], nextByte: next.nextByte };
      held.current = { tail, slice };
      return slice;
    },
    { keep: true },
  );
  const lines = query.data?.lines;
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);
  if (!lines) return query.error ? <Failure error={query.error} retry={query.retry} /> : <Loading />;
  if (lines.length === 0) return <Notice title={words.emptyTitle} />;
  const wanted = filter.trim().toLowerCase();
  const shown = wanted === '' ? lines : lines.filter(({ line }) => line.toLowerCase().includes(wanted));
  return (
    <>
      <div class="toolbar console-toolbar">
        <SearchField label={words.filter} value={filter} onInput={setFilter} />
        <label class="check">
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
          {words.follow}
        </label>
        <span class="grow" />
        <span class="muted number">{words.lines(shown.length)}</span>
      </div>
      {shown.length === 0 && <Notice title={words.noMatch} />}
      {shown.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
        <div class="console" ref={box} tabIndex={0} role="log" aria-label={t.value.run.tabs.console}>
          {lines.length >= tail && (
            <button
              type="button"
              class="plain earlier"
              onClick={() => {
                setFollow(false);
                setTail(tail * MORE);
              }}
            >
              {words.earlier}
            </button>
          )}
          {shown.map(({ time, level, line }, i) => (
            <div class={`line ${level}`} key={i}>
              <time dateTime={new Date(time).toISOString()}>{clock(time)}</time>
              <span>{line}</span>
            </div>
          ))}
        </div>
      )}
    </>
  );
}

const clock = (time: number): string => new Date(time).toTimeString().slice(0, 8);
