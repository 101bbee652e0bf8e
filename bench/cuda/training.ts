// Optimiser steps of LoRA on the 2B shape: samples a second, step time, device memory, model FLOPs utilisation.
import type { Backend } from '../../src/backends/contract.ts';
import { initLora, loraParameters, loraSpec } from '../../src/models/qwen2_vl/adapter.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { pack } from '../../src/models/qwen2_vl/packing.ts';
import { sizeOfSample } from '../../src/train/dataset.ts';
import { Trainer, type TrainerOptions, tracePrograms } from '../../src/train/trainer.ts';

const LORA = {
  r: 64,
  alpha: 16,
  rslora: false,
  dropout: 0.05,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};

export interface TrainingResult {
  readonly samplesPerSecond: number;
  readonly tokensPerSecond: number;
  readonly stepMs: number;
  readonly losses: readonly number[];
}

/**
 * @param perStep samples of an optimiser step, in one packed micro-batch
 * @param cached image features are made once, before the clock starts
 */
export async function benchTraining(
  backend: Backend,
  config: Qwen2VLConfig,
  samples: readonly EncodedSample[],
  { perStep, cached, steps, warmup }: { perStep: number; cached: boolean; steps: number; warmup: number },
): Promise<TrainingResult> {
  const groups: number[][] = [];
  for (let at = 0; at + perStep <= samples.length; at += perStep)
    groups.push(Array.from({ length: perStep }, (_, i) => at + i));
  const sizes = samples.map(sizeOfSample);
  const most = (f: (i: number) => number) =>
    Math.ceil(Math.max(...groups.map((group) => group.reduce((sum, i) => sum + f(i), 0))) / 128) * 128;
  const tokens = most((i) => sizes[i]!.tokens);
  const bucket = { tokens, row: tokens, patches: perStep * 288, patchRow: 288, labels: most((i) => sizes[i]!.labels) };
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
  };
  const trainer = await Trainer.create(backend, config, options, tracePrograms(backend, config, options));
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
  await trainer.dispose();
  times.sort((a, b) => a - b);
  const stepMs = times[times.length >> 1]!;
  const meanTokens = sizes.reduce((sum, { tokens: n }) => sum + n, 0) / sizes.length;
  const samplesPerSecond = (1000 * perStep) / stepMs;
  return { samplesPerSecond, tokensPerSecond: samplesPerSecond * meanTokens, stepMs, losses };
}
