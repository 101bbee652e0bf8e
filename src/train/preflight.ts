// What is told before the first step: samples, token histogram, what is dropped and why, what trains, memory.
import { totalmem } from 'node:os';
import type { Backend } from '../backends/contract.ts';
import { bytesOf, sizeOf } from '../graph/types.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { parameters, towerOf } from '../models/qwen2_vl/parameters.ts';
import type { Bucket } from '../models/qwen2_vl/programs.ts';
import { say } from '../shared/log.ts';
import type { Encoded } from './dataset.ts';
import type { RunConfig } from './run_config.ts';

export interface PreflightInput {
  readonly config: RunConfig;
  readonly model: Qwen2VLConfig;
  readonly encoded: Encoded;
  readonly bucket: Bucket;
  readonly total: number;
  readonly trained: readonly string[];
  readonly backend: Backend;
}

const BINS = 6;

export function preflight({ config, model, encoded, bucket, total, trained, backend }: PreflightInput): void {
  const lengths = encoded.samples.map((s) => s.ids.length);
  const [least, most] = [Math.min(...lengths), Math.max(...lengths)];
  const mean = lengths.reduce((a, b) => a + b, 0) / lengths.length;
  say(
    `samples: ${lengths.length} (${encoded.dropped.length} dropped); tokens ${least} to ${most}, ${mean.toFixed(0)} on average`,
  );
  const width = Math.max(1, Math.ceil((most - least + 1) / BINS));
  const bins = Array.from(
    { length: BINS },
    (_, i) => lengths.filter((n) => Math.floor((n - least) / width) === i).length,
  );
  const peak = Math.max(...bins);
  bins.forEach((count, i) => {
    const from = least + i * width;
    if (from <= most)
      say(
        `  ${String(from).padStart(5)}–${String(Math.min(most, from + width - 1)).padEnd(5)} ${'█'.repeat(Math.ceil((30 * count) / peak))} ${count}`,
      );
  });
  for (const { name, reason } of encoded.dropped.slice(0, 10)) say(`  dropped ${name}: ${reason}`);
  if (encoded.dropped.length > 10) say(`  … and ${encoded.dropped.length - 10} more`);
  say(
    `a batch: ${bucket.tokens} tokens in rows of ${bucket.row}, ${bucket.patches} patches, ${bucket.labels} label tokens; ` +
      `${config.train.accumulate} a step, ${total} steps`,
  );
  const weights = parameters(model).map((p) => ({ ...p, size: sizeOf(p.shape) }));
  const trainedSize = trained.reduce((sum, name) => sum + sizeOf(backend.getState(name).type.shape), 0);
  for (const tower of ['vision', 'merger', 'text'] as const) {
    const own = weights.filter((p) => towerOf(p.name) === tower).reduce((sum, p) => sum + p.size, 0);
    const trains = trained
      .filter((name) => towerOf(name) === tower)
      .reduce((sum, name) => sum + sizeOf(backend.getState(name).type.shape), 0);
    const what =
      trains === 0
        ? 'frozen'
        : config.method === 'full'
          ? 'trained'
          : `frozen, with ${trains.toLocaleString('en')} LoRA parameters`;
    say(`  ${tower.padEnd(7)} ${own.toLocaleString('en').padStart(14)} parameters, ${what}`);
  }
  // Weights, and of what trains two moments, a gradient and the second buffers of the update.
  const stateBytes =
    weights.reduce((sum, p) => sum + bytesOf({ dtype: 'f32', shape: p.shape }), 0) + trainedSize * 4 * 6;
  // Kept for the backward pass: per token and layer about 16 rows of hidden and 5 of intermediate size, and the attention scores.
  const { hiddenSize, intermediateSize, layers, heads } = model.text;
  const text = bucket.tokens * layers * (16 * hiddenSize + 5 * intermediateSize + 3 * heads * bucket.row) * 4;
  const { embedDim, depth, mlpRatio } = model.vision;
  const visionKept = trained.some((name) => towerOf(name) !== 'text') ? depth : 1;
  const vision =
    bucket.patches * visionKept * ((14 + 4 * mlpRatio) * embedDim + 3 * model.vision.heads * bucket.patchRow) * 4;
  const estimate = stateBytes + text + vision;
  say(
    `memory: about ${(estimate / 2 ** 30).toFixed(2)} GiB (of ${(totalmem() / 2 ** 30).toFixed(1)} GiB on this machine), ${trainedSize.toLocaleString('en')} parameters train`,
  );
}
