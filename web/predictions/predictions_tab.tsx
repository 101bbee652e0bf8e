// What the runs read at each evaluation: a slider over the steps, their scores, and a card a formula.
import { useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { api, type Evaluation } from '../lib/api.ts';
import { colorOf } from '../lib/colors.ts';
import { formatNumber } from '../lib/format.ts';
import { useQuery } from '../lib/query.ts';
import { isBoolean, stored } from '../lib/stored.ts';
import type { TabProps } from '../run/run_page.tsx';
import { Failure, Loading, Notice } from '../shell/notice.tsx';
import { evaluationAt, itemsOf, type Source, stepsOf } from './items.ts';
import { PredictionCard } from './prediction_card.tsx';
import { StepSlider } from './step_slider.tsx';
import './predictions_tab.css';

const onlyWrong = stored('onlyWrong', false, isBoolean);
/** Formulas shown before the reader asks for more: each costs some drawing. */
const PAGE = 24;

export function PredictionsTab({ runs }: TabProps) {
  const words = t.value.predictions;
  /** null follows the newest evaluation */
  const [step, setStep] = useState<number | null>(null);
  const [most, setMost] = useState(PAGE);
  const steps = stepsOf(runs);
  const place = step === null || !steps.includes(step) ? steps.length - 1 : steps.indexOf(step);
  const current = steps[place];
  const wanted = current === undefined ? [] : runs.map((run) => evaluationAt(run, current));
  const query = useQuery(
    current === undefined ? null : JSON.stringify(runs.map((run, i) => [run.id, wanted[i]?.step])),
    wanted.map((evaluation) => evaluation?.time).join(),
    (abort): Promise<(Evaluation | null)[]> =>
      Promise.all(runs.map(async (run, i) => (wanted[i] ? api.evaluation(run.id, wanted[i].step, abort) : null))),
    { keep: true },
  );
  if (current === undefined)
    return (
      <Notice title={words.emptyTitle}>
        <p>{words.emptyHint}</p>
      </Notice>
    );
  if (!query.data) return query.error ? <Failure error={query.error} retry={query.retry} /> : <Loading />;
  const sources = runs.map(
    (run, i): Source => ({ run: run.id, name: run.name, color: colorOf(i), evaluation: query.data?.[i] ?? null }),
  );
  const items = itemsOf(sources);
  const shown = onlyWrong.value ? items.filter((item) => item.readings.some(({ row }) => !row.right)) : items;
  const goTo = (next: number): void => {
    setStep(next === steps.length - 1 ? null : steps[next]!);
    setMost(PAGE);
  };
  return (
    <>
      <div class="toolbar predictions-toolbar">
        <StepSlider steps={steps} place={place} onPlace={goTo} />
        <label class="check">
          <input
            type="checkbox"
            checked={onlyWrong.value}
            onChange={(event) => {
              onlyWrong.value = event.currentTarget.checked;
              setMost(PAGE);
            }}
          />
          {words.onlyWrong}
        </label>
        <span class="grow" />
        <span class="muted number">{words.count(shown.length, items.length)}</span>
      </div>
      {sources.map((source) => (
        <Scores key={source.run} source={source} named={runs.length > 1} />
      ))}
      {shown.length === 0 && (
        <Notice title={words.allRight}>
          <p>{words.allRightHint}</p>
        </Notice>
      )}
      <div class="predictions">
        {shown.slice(0, most).map((item) => (
          <PredictionCard key={item.key} item={item} />
        ))}
      </div>
      {shown.length > most && (
        <button type="button" class="more" onClick={() => setMost(most + PAGE)}>
          {words.more} ({words.count(most, shown.length)})
        </button>
      )}
    </>
  );
}

function Scores({ source: { name, color, evaluation }, named }: { source: Source; named: boolean }) {
  const words = t.value.predictions;
  const rows = evaluation?.rows ?? [];
  return (
    <p class="scores muted number">
      {named && (
        <span class="whose">
          <i class="swatch" style={{ background: color }} aria-hidden="true" />
          <b>{name}</b>
        </span>
      )}
      {evaluation ? (
        <>
          {named && (
            <span>
              {t.value.run.step} <b>{formatNumber(evaluation.step)}</b>
            </span>
          )}
          <span>{words.exactShare(rows.filter((row) => row.right).length, rows.length)}</span>
          {Object.entries(evaluation.metrics).map(([metric, value]) => (
            <span key={metric}>
              {metric.replaceAll('_', ' ')} <b>{formatNumber(value)}</b>
            </span>
          ))}
        </>
      ) : (
        <span>{words.emptyTitle}</span>
      )}
    </p>
  );
}
