// Evaluations of one or several runs put together formula by formula, so that their readings stand side by side.
import type { Evaluation, EvaluationRow, RunDetail } from '../lib/api.ts';

export interface Reading {
  readonly run: string;
  readonly name: string;
  readonly color: string;
  readonly row: EvaluationRow;
}

export interface Item {
  readonly key: string;
  readonly source: string;
  readonly truth: string;
  /** the run whose folder holds the image, and the image's name there */
  readonly image: { readonly run: string; readonly name: string } | null;
  readonly readings: readonly Reading[];
}

export type Source = Omit<Reading, 'row'> & { readonly evaluation: Evaluation | null };

/** The same formula of several runs is known by its picture's content and its truth. */
export function itemsOf(sources: readonly Source[]): Item[] {
  const items = new Map<string, Item & { readings: Reading[] }>();
  for (const { run, name, color, evaluation } of sources) {
    const seen = new Map<string, number>();
    for (const row of evaluation?.rows ?? []) {
      const base = JSON.stringify([row.image ?? row.source, row.truth]);
      // A formula may stand twice in one evaluation: the second is another item.
      const count = seen.get(base) ?? 0;
      seen.set(base, count + 1);
      const key = `${base}${count}`;
      const item = items.get(key) ?? { key, source: row.source, truth: row.truth, image: null, readings: [] };
      const image = item.image ?? (row.image === null ? null : { run, name: row.image });
      items.set(key, { ...item, image, readings: [...item.readings, { run, name, color, row }] });
    }
  }
  return [...items.values()];
}

/** Every step at which one of the runs was evaluated, upwards. */
export function stepsOf(runs: readonly RunDetail[]): number[] {
  const steps = new Set(runs.flatMap((run) => run.evaluations.map((evaluation) => evaluation.step)));
  return [...steps].sort((a, b) => a - b);
}

/** The run's last evaluation up to a step. */
export function evaluationAt(run: RunDetail, step: number): RunDetail['evaluations'][number] | null {
  return run.evaluations.findLast((evaluation) => evaluation.step <= step) ?? null;
}
