// What the main thread does for a step beside the backend: packs a block of samples and fills a batch's input tensors.
//   node bench/run.mjs packing
import { packedInputs, packedTensors } from '../src/models/qwen2_vl/batch.ts';
import { readConfig } from '../src/models/qwen2_vl/config.ts';
import { chooseBucket } from '../src/models/qwen2_vl/packing.ts';
import { Random } from '../src/shared/random.ts';
import { sizeOfSample } from '../src/train/dataset.ts';
import { epochSteps } from '../src/train/plan.ts';
import { median, round } from './statistics.ts';

const SAMPLES = 2048;
const A_STEP = 64;
const config = await readConfig('models/base');
const random = Random.from(1);
const between = (low: number, high: number) => low + Math.floor(random.float() * (high - low + 1));
// 75 image tokens of 300 patches, 20 tokens of prompt and 35 of label on average.
const samples = Array.from({ length: SAMPLES }, (_, i) => {
  const [high, wide] = [2 * between(4, 6), 2 * between(12, 18)];
  const image = (high * wide) / 4;
  const ids = new Int32Array(20 + image + between(15, 55)).fill(20);
  ids.fill(config.imageTokenId, 10, 10 + image);
  const pixels = new Uint8Array(high * wide * 588).fill(255);
  return { name: `${i}`, ids, labelStart: 20 + image, images: [{ grid: [1, high, wide] as const, pixels }] };
});
const mean = (of: (sample: (typeof samples)[number]) => number) => samples.reduce((sum, s) => sum + of(s), 0) / SAMPLES;
const tokens = mean((s) => s.ids.length);
const sizes = samples.map(sizeOfSample);
const bucket = chooseBucket(sizes, A_STEP * tokens, 512, config.vision.mergeSize ** 2);

const timed = <T>(work: () => T): { result: T; ms: number } => {
  const start = performance.now();
  return { result: work(), ms: performance.now() - start };
};
const packs = Array.from({ length: 5 }, (_, epoch) => timed(() => epochSteps(sizes, bucket, 1, 1, epoch)));
const steps = packs.flatMap(({ result }) => result);
const tensors = packedTensors(config, bucket);
const fills = steps.map(({ micro }) =>
  timed(() =>
    packedInputs(
      config,
      bucket,
      micro[0]!.map((p) => ({ ...p, sample: samples[p.sample]! })),
      1,
      tensors,
    ),
  ),
);
const copies = Array.from({ length: 50 }, () => {
  const from = new Uint8Array(bucket.patches * 588).fill(1);
  const to = new Uint8Array(from.length).fill(2);
  return timed(() => to.set(from)).ms;
});
console.log(
  JSON.stringify({
    bucket,
    mean_tokens: round(tokens, 1),
    mean_patches: round(
      mean((s) => s.images[0]!.pixels.length / 588),
      1,
    ),
    samples_a_batch: round((5 * SAMPLES) / steps.length, 1),
    pack_ms_a_batch: round(median(packs.map(({ ms }) => ms)) / (steps.length / 5), 3),
    fill_ms: round(median(fills.map(({ ms }) => ms)), 2),
    fill_p95_ms: round(fills.map(({ ms }) => ms).sort((a, b) => a - b)[Math.floor(fills.length * 0.95)]!, 2),
    copy_of_pixels_ms: round(median(copies), 2),
  }),
);
