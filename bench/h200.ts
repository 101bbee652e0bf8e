// The CUDA backend on one card, on the Qwen2-VL-2B shape: LoRA training at several settings and generation. The last line
// is JSON.
// Run: npx tsc -p tsconfig.json --noEmit false --rootDir . --outDir node_modules/.cache/bench, then
//   node node_modules/.cache/bench/bench/h200.js TOKENIZER.json FORMULAS.txt [training …]
import { createCudaBackend } from '../src/backends/cuda/index.ts';
import { benchGeneration } from './cuda/generation.ts';
import { makeSamples, QWEN2_VL_2B, randomWeights } from './cuda/model.ts';
import { benchTraining } from './cuda/training.ts';

const [tokenizer, formulas, ...wanted] = process.argv.slice(2) as [string, string, ...string[]];
const PROFILED = wanted.includes('profile');
const profile = new Map<string, { count: number; ms: number }>();
const backend = await createCudaBackend(
  PROFILED
    ? {
        // The first run of a kernel loads it.
        profile: (label, ms) => {
          const entry = profile.get(label) ?? { count: 0, ms: 0 };
          profile.set(label, { count: entry.count + 1, ms: entry.count === 0 ? 0 : entry.ms + ms });
        },
      }
    : {},
);
const started = performance.now();
randomWeights(backend, QWEN2_VL_2B);
console.log(`weights in ${((performance.now() - started) / 1000).toFixed(1)} s`);
const samples = makeSamples(tokenizer, formulas, 256);
const results: Record<string, unknown> = {};
const SETTINGS: Record<string, { perStep: number; cached: boolean; recompute?: boolean }> = {
  tutorial: { perStep: 16, cached: false },
  tutorialRecomputed: { perStep: 16, cached: false, recompute: true },
  best64: { perStep: 64, cached: false },
  best128: { perStep: 128, cached: false },
  cached64: { perStep: 64, cached: true },
};
for (const [name, setting] of Object.entries(SETTINGS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const begun = performance.now();
  const result = await benchTraining(backend, QWEN2_VL_2B, samples, { ...setting, steps: 8, warmup: 3 });
  results[name] = { ...result, totalSeconds: (performance.now() - begun) / 1000 };
  console.log(name, JSON.stringify(results[name]));
}
for (const batch of [1, 16, 64]) {
  const name = `decode${batch}`;
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  results[name] = await benchGeneration(backend, QWEN2_VL_2B, samples, { batch, newTokens: 128, repeats: 3 });
  console.log(name, JSON.stringify(results[name]));
}
if (PROFILED) {
  const steps = 11;
  const rows = [...profile].sort(([, a], [, b]) => b.ms - a.ms);
  const total = rows.reduce((sum, [, { ms }]) => sum + ms, 0);
  console.log(`${(total / steps).toFixed(1)} ms a step in kernels`);
  for (const [label, { count, ms }] of rows.slice(0, 70))
    console.log(`${(ms / steps).toFixed(3)} ms ${(count / steps).toFixed(1)}x ${label}`);
}
console.log(JSON.stringify({ bench: 'h200', results }));
process.exit(0);
