// What the model read at each evaluation: a slider over the steps, and a card a formula.
import { useEffect, useState } from 'preact/hooks';
import { language, t } from '../i18n/index.ts';
import { api, type RunDetail } from '../lib/api.ts';
import { formatDate, formatNumber } from '../lib/format.ts';
import { useQuery } from '../lib/query.ts';
import { isBoolean, stored } from '../lib/stored.ts';
import type { TabProps } from '../run/run_page.tsx';
import { RunPicker } from '../run/run_picker.tsx';
import { Failure, Loading, Notice } from '../shell/notice.tsx';
import { PredictionCard } from './prediction_card.tsx';
import './predictions_tab.css';

const onlyWrong = stored('onlyWrong', false, isBoolean);
const PAGE = 24;

export function PredictionsTab({ runs }: TabProps) {
  const [chosen, setChosen] = useState(runs[0]!.id);
  const run = runs.find((item) => item.id === chosen) ?? runs[0]!;
  return (
    <>
      <RunPicker runs={runs} value={run} onChange={setChosen} />
      <Gallery run={run} key={run.id} />
    </>
  );
}

function Gallery({ run }: { run: RunDetail }) {
  const words = t.value.predictions;
  const { evaluations } = run;
  /** null follows the newest */
  const [step, setStep] = useState<number | null>(null);
  const [most, setMost] = useState(PAGE);
  const index = step === null ? evaluations.length - 1 : evaluations.findIndex((item) => item.step === step);
  const place = index < 0 ? evaluations.length - 1 : index;
  const current = evaluations[place];
  const query = useQuery(
    current ? `${run.id} ${current.step}` : null,
    current?.time ?? 0,
    (abort) => api.evaluation(run.id, current!.step, abort),
    { keep: true },
  );
  useEffect(() => setMost(PAGE), [onlyWrong.value]);
  if (!current)
    return (
      <Notice title={words.emptyTitle}>
        <p>{words.emptyHint}</p>
      </Notice>
    );
  if (!query.data) return query.error ? <Failure error={query.error} retry={query.retry} /> : <Loading />;
  const { rows } = query.data;
  const wanted = onlyWrong.value ? rows.filter((row) => !row.right) : rows;
  const goTo = (next: number): void => {
    const target = evaluations[Math.min(evaluations.length - 1, Math.max(0, next))]!;
    setStep(target === evaluations.at(-1) ? null : target.step);
  };
  return (
    <>
      <div class="toolbar predictions-toolbar">
        <label>
          {words.step} <b class="number step-value">{formatNumber(current.step)}</b>
          <input
            type="range"
            min="0"
            max={evaluations.length - 1}
            step="1"
            value={place}
            disabled={evaluations.length < 2}
            aria-valuetext={String(current.step)}
            onInput={(event) => goTo(event.currentTarget.valueAsNumber)}
          />
        </label>
        <span class="stepper">
          <button
            type="button"
            class="icon"
            disabled={place === 0}
            onClick={() => goTo(place - 1)}
            aria-label={words.previous}
            title={words.previous}
          >
            <span aria-hidden="true">‹</span>
          </button>
          <button
            type="button"
            class="icon"
            disabled={place === evaluations.length - 1}
            onClick={() => goTo(place + 1)}
            aria-label={words.next}
            title={words.next}
          >
            <span aria-hidden="true">›</span>
          </button>
        </span>
        <label class="check">
          <input
            type="checkbox"
            checked={onlyWrong.value}
            onChange={(event) => {
              onlyWrong.value = event.currentTarget.checked;
            }}
          />
          {words.onlyWrong}
        </label>
        <span class="grow" />
        <span class="muted number" title={formatDate(current.time, language.value)}>
          {words.exactShare(rows.filter((row) => row.right).length, rows.length)}
        </span>
      </div>
      <p class="scores muted number">
        {Object.entries(current.metrics).map(([name, value]) => (
          <span key={name}>
            {name.replaceAll('_', ' ')} <b>{formatNumber(value)}</b>
          </span>
        ))}
      </p>
      {wanted.length === 0 && (
        <Notice title={words.allRight}>
          <p>{words.allRightHint}</p>
        </Notice>
      )}
      <div class="predictions">
        {wanted.slice(0, most).map((row, i) => (
          <PredictionCard key={`${row.source} ${i}`} run={run.id} row={row} />
        ))}
      </div>
      {wanted.length > most && (
        <button type="button" class="more" onClick={() => setMost(most + PAGE)}>
          {words.more} ({words.count(most, wanted.length)})
        </button>
      )}
    </>
  );
}
