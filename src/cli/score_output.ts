// How scores are told: predictions beside truths, a table, the report and JSON; of one run or of several side by side.
import type { Command } from 'commander';
import { formatScore, METRIC_LABELS, METRIC_NAMES } from '../eval/labels.ts';
import type { ReportRun } from '../eval/report.ts';
import { readyFile, writeAtomically } from '../shared/files.ts';
import { say } from '../shared/log.ts';
import { whole } from './numbers.ts';
import { clean, printJson, sayTable } from './output.ts';

export interface ScoreFlags {
  readonly show: number;
  readonly report?: string;
  readonly worst: number;
  readonly json?: boolean;
}

export const withScoreOptions = (command: Command): Command =>
  command
    .option('--show <n>', 'predictions to print beside their truths', whole, 4)
    .option('--report <file>', 'write an HTML page with the scores, where the errors lie and the worst cases')
    .option('--worst <n>', 'cases on that page', whole, 30);

/** So that a wrong path is told before the work. */
export async function readyReport(file: string | undefined): Promise<void> {
  if (file !== undefined) await readyFile(file, '--report');
}

interface Telling<Run extends ReportRun> extends ScoreFlags {
  /** what was read, as the reader knows it */
  readonly data: string;
  /** what JSON says of a run beside its name and numbers */
  readonly extra?: (run: Run) => Record<string, unknown>;
}

export async function tellScores<Run extends ReportRun>(runs: readonly Run[], telling: Telling<Run>): Promise<void> {
  const { show, report, worst, json, data, extra } = telling;
  const [only] = runs;
  showPredictions(runs, show);
  say();
  sayScores(runs);
  if (report !== undefined) {
    const { reportPage } = await import('../eval/report.ts');
    const title = runs.length > 1 ? 'Comparison of readings' : `How ${only!.name} reads`;
    await writeAtomically(report, await reportPage({ title, data, runs, worst }));
    say(`\n${report}  the report`);
  }
  if (!json) return;
  const { definitions } = only!.scores;
  if (runs.length === 1) printJson({ ...extra?.(only!), ...numbersOf(only!), definitions });
  else printJson({ runs: runs.map((run) => ({ name: run.name, ...extra?.(run), ...numbersOf(run) })), definitions });
}

/** The first samples of each run; of one run without its name. */
function showPredictions(runs: readonly ReportRun[], count: number): void {
  for (const run of runs) {
    if (runs.length > 1 && count > 0) say(`\n${run.name}`);
    for (const { grade } of run.samples.slice(0, count))
      say(`\ntruth      ${clean(grade.pair.truth)}\nprediction ${clean(grade.pair.prediction)}`);
  }
}

function sayScores(runs: readonly ReportRun[]): void {
  const row = (label: string, value: (run: ReportRun) => string): string[] => [label, ...runs.map(value)];
  sayTable(
    [
      row('Formulas', ({ scores }) => String(scores.count)),
      row('Dropped', ({ dropped }) => String(dropped)),
      ...METRIC_NAMES.filter((name) => runs.some(({ scores }) => scores[name] !== undefined)).map((name) =>
        row(METRIC_LABELS[name].label, ({ scores }) => formatScore(scores[name])),
      ),
    ],
    { head: ['', ...runs.map(({ name }) => name)], right: runs.map((_, i) => i + 1) },
  );
}

function numbersOf({ scores, dropped, breakdown: { byLength, bySymbols } }: ReportRun): Record<string, unknown> {
  const { definitions: _, ...numbers } = scores;
  return { ...numbers, dropped, byLength, bySymbols };
}
