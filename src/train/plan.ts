// The order of a run: which samples each optimiser step sees, as a pure function of the seed, so that a run can resume.
import { type Placement, pack, type SampleSize } from '../models/qwen2_vl/packing.ts';
import type { Bucket } from '../models/qwen2_vl/programs.ts';
import { Random } from '../shared/random.ts';

export interface PlannedStep {
  readonly epoch: number;
  readonly micro: readonly Placement[][];
}

/** Packed and grouped steps of one epoch, shuffled by (seed, epoch). */
export function epochSteps(
  sizes: readonly SampleSize[],
  bucket: Bucket,
  accumulate: number,
  seed: number,
  epoch: number,
): PlannedStep[] {
  const order = Random.from(seed, epoch, 3).shuffled(Array.from(sizes.keys()));
  const batches = pack(order, sizes, bucket);
  const steps: PlannedStep[] = [];
  for (let i = 0; i < batches.length; i += accumulate) steps.push({ epoch, micro: batches.slice(i, i + accumulate) });
  return steps;
}

/** How many steps a run has: given outright, or all steps of its epochs (a fraction of the last one). */
export function countSteps(
  sizes: readonly SampleSize[],
  bucket: Bucket,
  options: { accumulate: number; seed: number; epochs?: number; maxSteps?: number },
): number {
  if (options.maxSteps !== undefined) return options.maxSteps;
  const epochs = options.epochs ?? 1;
  let total = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const steps = epochSteps(sizes, bucket, options.accumulate, options.seed, epoch).length;
    // 2.1 − 2 is a little more than 0.1, and a tenth of ten steps is one.
    total += Math.ceil(steps * Math.min(1, epochs - epoch) - 1e-9);
  }
  return total;
}
