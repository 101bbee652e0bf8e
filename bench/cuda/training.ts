// Optimiser steps of LoRA on the 2B shape: samples a second, step time, device memory, model FLOPs utilisation.
import { execFileSync } from 'node:child_process';
import type { Backend } from '../../src/backends/contract.ts';
import { sizeOf } from '../../src/graph/types.ts';
import { initLora, loraParameters, loraSpec } from '../../src/models/qwen2_vl/adapter.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { pack, type SampleSize } from '../../src/models/qwen2_vl/packing.ts';
import { parameters } from '../../src/models/qwen2_vl/parameters.ts';
import type { Bucket } from '../../src/models/qwen2_vl/programs.ts';
import { sizeOfSample } from '../../src/train/dataset.ts';
import { memoryNeed } from '../../src/train/memory.ts';
import { Trainer, type TrainerOptions, tracePrograms } from '../../src/train/trainer.ts';

export const LORA = {
  r: 64,
  alpha: 16,
  rslora: false,
  dropout: 0.05,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};

export interface BenchSettings {
  /** samples of an optimiser step, in one packed micro-batch */
  readonly perStep: number;
  /** image features are made once, before the clock starts */
  readonly cached: boolean;
  readonly recompute?: boolean;
  readonly steps: number;
  readonly warmup: number;
}

export interface TrainingResult {
  readonly samplesPerSecond: number;
  readonly tokensPerSecond: number;
  readonly stepMs: number;
  readonly tokens: number;
  /** of 790 TFLOP/s, what the products that LoRA needs come to */
  readonly utilisation: number;
  /** device memory in use while it trains, GiB, all that the card holds */
  readonly memoryGiB: number;
  /** what the plan says that the tensors take, GiB */
  readonly plannedGiB: number;
  readonly losses: readonly number[];
}

export async function benchTraining(
  backend: Backend,
  config: Qwen2VLConfig,
  samples: readonly EncodedSample[],
  { perStep, cached, recompute = false, steps, warmup }: BenchSettings,
): Promise<TrainingResult> {
  const groups: number[][] = [];
  for (let at = 0; at + perStep <= samples.length; at += perStep)
    groups.push(Array.from({ length: perStep }, (_, i) => at + i));
  const sizes = samples.map(sizeOfSample);
  const bucket = groupBucket(groups, sizes);
  const spec = loraSpec(config, LORA);
  initLora(config, spec, 1, backend);
  const options: TrainerOptions = {
    bucket,
    accumulate: 1,
    lora: spec,
    trained: loraParameters(config, spec).map(({ name }) => name),
    dropout: LORA.dropout,
    seed: 1,
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    precision: 'bf16',
    keepFeatures: cached ? samples.length * 72 : 0,
    recompute,
  };
  const programs = tracePrograms(backend, config, options);
  const plannedGiB = memoryNeed(backend, programs, null).total / 2 ** 30;
  const trainer = await Trainer.create(backend, config, options, programs);
  const one = (k: number) => {
    const packed = pack(groups[k % groups.length]!, sizes, bucket);
    if (packed.length !== 1) throw new Error(`a step of ${packed.length} micro-batches`);
    return trainer.step(samples, packed, k + 1, k, 1e-4);
  };
  // With cached features every sample passes once before the clock starts.
  const before = cached ? Math.max(warmup, groups.length) : warmup;
  for (let k = 0; k < before; k++) await one(k);
  const losses: number[] = [];
  const times: number[] = [];
  let last = performance.now();
  let running = one(before);
  for (let k = 1; k <= steps; k++) {
    const next = one(before + k);
    losses.push((await running).loss);
    times.push(performance.now() - last);
    last = performance.now();
    running = next;
  }
  await running;
  const memoryGiB = memoryInUse();
  await trainer.dispose();
  times.sort((a, b) => a - b);
  const stepMs = times[times.length >> 1]!;
  const meanTokens = sizes.reduce((sum, { tokens: n }) => sum + n, 0) / sizes.length;
  const samplesPerSecond = (1000 * perStep) / stepMs;
  return {
    samplesPerSecond,
    tokensPerSecond: samplesPerSecond * meanTokens,
    stepMs,
    tokens: bucket.tokens,
    utilisation: (samplesPerSecond * flopsOfSample(config, sizes, cached)) / PEAK,
    memoryGiB,
    plannedGiB,
    losses,
  };
}

/** Operations a second of large bf16 products on an H200, as measured. */
const PEAK = 790e12;

/**
 * Operations of a sample's products in the mean: forwards, and backwards to what lies before them, for frozen weights have
 * no gradient; LoRA's two ways and its gradients; the head for label tokens. Attention and padding count nothing.
 */
function flopsOfSample(config: Qwen2VLConfig, sizes: readonly SampleSize[], cached: boolean): number {
  const weights = (holds: (name: string) => boolean) =>
    parameters(config)
      .filter(({ name, shape }) => shape.length > 1 && holds(name))
      .reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const mean = (of: (size: SampleSize) => number) => sizes.reduce((sum, size) => sum + of(size), 0) / sizes.length;
  const adapter = loraParameters(config, loraSpec(config, LORA)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const merger = weights((name) => name.includes('merger'));
  const tower = weights((name) => name.startsWith('visual')) - merger;
  const text = mean(({ tokens }) => tokens) * (4 * weights((name) => name.includes('layers')) + 6 * adapter);
  const head = mean(({ labels }) => labels) * 4 * config.text.vocabSize * config.text.hiddenSize;
  const patches = mean(({ images }) => images.reduce((sum, n) => sum + n, 0));
  const image = patches * 2 * (tower + merger / config.vision.mergeSize ** 2);
  return text + head + (cached ? 0 : image);
}

/** The fewest tokens, in one row, that hold each group in one batch; one image a vision row. */
export function groupBucket(groups: readonly (readonly number[])[], sizes: readonly SampleSize[]): Bucket {
  const most = (of: (size: SampleSize) => number) =>
    Math.max(...groups.map((group) => group.reduce((sum, i) => sum + of(sizes[i]!), 0)));
  const patchRow = Math.max(...sizes.flatMap(({ images }) => images));
  const up = (n: number) => Math.ceil(n / 128) * 128;
  const tokens = up(most((size) => size.tokens));
  const labels = up(most((size) => size.labels));
  return { tokens, row: tokens, patches: most(({ images }) => images.length) * patchRow, patchRow, labels };
}

/** GiB that the first card holds for all its processes, libraries included, as nvidia-smi tells it. */
export function memoryInUse(): number {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '--id=0'];
  return Number(execFileSync('nvidia-smi', query, { encoding: 'utf8' })) / 1024;
}
