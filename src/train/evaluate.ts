// An evaluation in a run: validation loss, and the formulas of the validation set read as generation will read them.
import type { Backend } from '../backends/contract.ts';
import { type Grade, grade, score } from '../eval/metrics.ts';
import { Generator, usualOptions } from '../generate/generator.ts';
import { READ_AT_ONCE, readAll } from '../generate/read.ts';
import { pack } from '../models/qwen2_vl/packing.ts';
import { promptOf, sizeOfSample } from './dataset.ts';
import type { RunConfig } from './run_schema.ts';
import type { Setup } from './setup.ts';
import type { Trainer } from './trainer.ts';

export interface Evaluation {
  readonly loss: number;
  readonly exactMatch: number;
  readonly editDistance: number;
  readonly count: number;
}

export interface Evaluated {
  readonly evaluation: Evaluation;
  /** what the tracker records of it */
  readonly record: {
    readonly metrics: Record<string, number>;
    readonly rows: readonly {
      readonly truth: string;
      readonly prediction: string;
      readonly image: string;
      readonly metrics: Record<string, number>;
    }[];
  };
}

/** Reads and scores the validation set, by first looks alone; null where there is none. */
export async function evaluate(
  { processor, validation: val, lora, scopeOptions, maxNewTokens, bucket }: Setup,
  backend: Backend,
  trainer: Trainer,
): Promise<Evaluated | null> {
  if (!val) return null;
  const generator = new Generator(backend, processor.config, lora, scopeOptions);
  const options = { ...usualOptions(processor), maxNewTokens, batchSize: READ_AT_ONCE };
  const prompts = val.samples.map(promptOf);
  const readings = await readAll(generator, processor.tokenizer, prompts, options, 'evaluating');
  await generator.dispose();
  const pairs = readings.map(({ text }, i) => ({ truth: val.labels[i] as string, prediction: text }));
  const grades = pairs.map(grade);
  const scores = score(grades);
  const sizes = val.samples.map(sizeOfSample);
  const loss = await trainer.loss(val.samples, pack(Array.from(sizes.keys()), sizes, bucket));
  return {
    evaluation: {
      loss,
      exactMatch: scores.exactMatch,
      editDistance: scores.editDistance,
      count: readings.length,
    },
    record: {
      metrics: { loss, exact_match: scores.exactMatch, edit_distance: scores.editDistance },
      rows: pairs.map((pair, i) => ({ ...pair, image: val.images[i]![0]!, metrics: scoresOf(grades[i]!) })),
    },
  };
}

const scoresOf = ({ exact, editDistance }: Grade): Record<string, number> => ({
  exact_match: exact ? 1 : 0,
  edit_distance: editDistance,
});

type Metric = RunConfig['eval']['metric'];

export const metricValue = ({ loss, exactMatch, editDistance }: Evaluation, metric: Metric): number =>
  ({ loss, exact_match: exactMatch, edit_distance: editDistance })[metric];

/** Losses and distances are the better the smaller they are. */
export const isBetter = (metric: Metric, value: number, than: number): boolean =>
  metric === 'exact_match' ? value > than : value < than;
