// A LoRA run as bench/peers/fidelity.py makes it, and whether its losses stay within the spread of the peer's.
import type { Backend } from '../../src/backends/contract.ts';
import type { Precision } from '../../src/graph/types.ts';
import { initLora, loraParameters, loraSpec } from '../../src/models/qwen2_vl/adapter.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { pack } from '../../src/models/qwen2_vl/packing.ts';
import { Random } from '../../src/shared/random.ts';
import { sizeOfSample } from '../../src/train/dataset.ts';
import { momentState } from '../../src/train/step.ts';
import { Trainer, type TrainerOptions, tracePrograms } from '../../src/train/trainer.ts';
import { groupBucket, LORA } from './training.ts';

export interface CurveSettings {
  readonly steps: number;
  readonly perStep: number;
  readonly lr: number;
  readonly rank: number;
  readonly seed: number;
  readonly precision: Precision;
}

/** The loss of every step; the rate falls linearly to zero. */
export async function ownCurve(
  backend: Backend,
  config: Qwen2VLConfig,
  samples: readonly EncodedSample[],
  { steps, perStep, lr, rank, seed, precision }: CurveSettings,
): Promise<number[]> {
  const groups: number[][] = [];
  for (let epoch = 0; groups.length < steps; epoch++) {
    const order = Random.from(seed, epoch).shuffled(Array.from(samples.keys()));
    for (let at = 0; at + perStep <= order.length; at += perStep) groups.push(order.slice(at, at + perStep));
  }
  groups.length = steps;
  const sizes = samples.map(sizeOfSample);
  const bucket = groupBucket(groups, sizes);
  const lora = loraSpec(config, { ...LORA, r: rank });
  initLora(config, lora, seed, backend);
  const trained = loraParameters(config, lora).map(({ name }) => name);
  const options: TrainerOptions = {
    ...{ bucket, accumulate: 1, lora, trained, dropout: LORA.dropout, seed, precision, keepFeatures: null },
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    recompute: false,
  };
  const trainer = await Trainer.create(backend, config, options, tracePrograms(backend, config, options));
  const losses: number[] = [];
  const begin = (k: number) => trainer.step(samples, pack(groups[k]!, sizes, bucket), k + 1, k, lr * (1 - k / steps));
  let running = begin(0);
  for (let k = 1; k <= steps; k++) {
    const next = k < steps ? begin(k) : null;
    losses.push((await running).loss);
    if (next) running = next;
  }
  await trainer.dispose();
  for (const name of trained)
    for (const state of [name, momentState(name, 'm'), momentState(name, 'v')]) backend.deleteState(state);
  return losses;
}

const WINDOWS = 20;
/** Windows on either side whose variances are pooled: of 3 runs one window's own says little. */
const NEIGHBOURS = 2;
/** Of one more run of the peer's own about every second would go past this in one of the 20 windows. */
const DEVIATIONS = 3;
/** Share of the loss that is granted besides, for windows in which three runs happen to lie close together. */
const TOLERANCE = 0.005;

export interface Comparison {
  readonly rows: readonly {
    readonly ours: number;
    readonly mean: number;
    readonly sd: number;
    readonly limit: number;
  }[];
  readonly outside: number;
}

/** Means over windows of a curve against those of other runs: outside is |ours − mean| > 3 sd + 0.5 % of the mean. */
export function compareCurves(ours: readonly number[], peers: readonly (readonly number[])[]): Comparison {
  const size = Math.floor(ours.length / WINDOWS);
  const windows = (losses: readonly number[]) =>
    Array.from({ length: WINDOWS }, (_, w) => average(losses.slice(w * size, (w + 1) * size)));
  const own = windows(ours);
  const others = peers.map(windows);
  const at = (w: number) => others.map((other) => other[w]!);
  const variances = own.map((_, w) => variance(at(w)));
  const rows = own.map((loss, w) => {
    const mean = average(at(w));
    const sd = Math.sqrt(average(variances.slice(Math.max(0, w - NEIGHBOURS), w + NEIGHBOURS + 1)));
    return { ours: loss, mean, sd, limit: DEVIATIONS * sd + TOLERANCE * mean };
  });
  return { rows, outside: rows.filter(({ ours: loss, mean, limit }) => Math.abs(loss - mean) > limit).length };
}

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function variance(values: readonly number[]): number {
  const mean = average(values);
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}
