// How long a process takes from its start to the end of its first training step, phase by phase.
import { join } from 'node:path';
import type { DeviceName } from '../../src/backends/open.ts';
import { openBackend } from '../../src/backends/open.ts';
import { initLora, loraParameters, loraSpec } from '../../src/models/qwen2_vl/adapter.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import { readConfig } from '../../src/models/qwen2_vl/config.ts';
import { loadWeights } from '../../src/models/qwen2_vl/load.ts';
import { pack } from '../../src/models/qwen2_vl/packing.ts';
import { sizeOfSample } from '../../src/train/dataset.ts';
import { Trainer, type TrainerOptions, tracePrograms } from '../../src/train/trainer.ts';
import { groupBucket, LORA } from './training.ts';

/** Seconds by phase; the process has done nothing before this but read its samples. */
export async function timeToFirstStep(
  folder: string,
  samples: readonly EncodedSample[],
  device: DeviceName,
): Promise<Record<string, number>> {
  const seconds: Record<string, number> = {};
  let last = 0; // performance.now() counts from the start of the process
  const phase = (name: string) => {
    const now = performance.now();
    seconds[name] = Math.round(now - last) / 1000;
    last = now;
  };
  phase('process');
  const { backend, precision } = await openBackend({ device });
  phase('device');
  const config = await readConfig(join(folder, 'model'));
  await loadWeights(join(folder, 'model'), config, backend, () => precision);
  phase('weights');
  const lora = loraSpec(config, LORA);
  initLora(config, lora, 1, backend);
  phase('lora');
  const group = Array.from(samples.keys());
  const sizes = samples.map(sizeOfSample);
  const bucket = groupBucket([group], sizes);
  const options: TrainerOptions = {
    ...{ bucket, accumulate: 1, lora, dropout: LORA.dropout, seed: 1, precision, keepFeatures: null, recompute: false },
    trained: loraParameters(config, lora).map(({ name }) => name),
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
  };
  const programs = tracePrograms(backend, config, options);
  phase('trace');
  const trainer = await Trainer.create(backend, config, options, programs);
  phase('compile');
  const step = (n: number) => trainer.step(samples, pack(group, sizes, bucket), n, n, 1e-4);
  await step(1);
  phase('first step');
  seconds.total = Math.round(performance.now()) / 1000;
  await step(2);
  phase('second step');
  return seconds;
}
