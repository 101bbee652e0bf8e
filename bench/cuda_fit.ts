// What LoRA training takes of a card, by plan and really, at several settings of the Qwen2-VL-2B or 7B shape, with samples
// a second beside it. The difference is what `src/train/memory.ts` must leave for the driver. The last line is JSON.
// Run: npm run build, then on the machine with the card, whose memory nothing else may take meanwhile
//   node bench/run.mjs cuda_fit TOKENIZER.json FORMULAS.txt 2b   (or 7b)
import { createCudaBackend } from '../src/backends/cuda/index.ts';
import { parameters } from '../src/models/qwen2_vl/parameters.ts';
import { makeSamples, QWEN2_VL_2B, QWEN2_VL_7B, randomWeights } from './cuda/model.ts';
import { type BenchSettings, benchTraining, memoryInUse } from './cuda/training.ts';

const [tokenizer, formulas, shape] = process.argv.slice(2) as [string, string, string?];
if (shape !== '2b' && shape !== '7b') throw new Error(`shape '${shape}': expected 2b or 7b`);
const config = shape === '2b' ? QWEN2_VL_2B : QWEN2_VL_7B;
/** Those that need more come later, for what a process has once taken for its programs it keeps. */
const SETTINGS: Record<string, Omit<BenchSettings, 'steps' | 'warmup'>> = {
  '16 a step, recomputed': { perStep: 16, cached: false, recompute: true },
  '16 a step': { perStep: 16, cached: false },
  ...(shape === '2b' ? { '32 a step': { perStep: 32, cached: false } } : {}),
};

const results: Record<string, unknown> = {};
const failures: string[] = [];
const backend = await createCudaBackend();
const samples = makeSamples(tokenizer, formulas, 64);
const before = memoryInUse();
console.log(`the device, its libraries' workspaces included: ${before.toFixed(3)} GiB in use`);
const started = performance.now();
randomWeights(backend, config);
const planned = parameters(config).map(({ shape }) => backend.stateBytes({ dtype: 'bf16', shape }));
const weights = {
  plannedGiB: planned.reduce((sum, bytes) => sum + bytes, 0) / 2 ** 30,
  takenGiB: memoryInUse() - before,
};
console.log(`weights ${JSON.stringify(weights)} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
for (const [name, setting] of Object.entries(SETTINGS)) {
  const begun = performance.now();
  try {
    const result = await benchTraining(backend, config, samples, { ...setting, steps: 4, warmup: 2 });
    const takenGiB = result.memoryGiB - before;
    results[name] = { ...result, takenGiB, beyondPlanGiB: takenGiB - result.plannedGiB };
    console.log(`${shape}, ${name}: ${JSON.stringify(results[name])}`);
  } catch (error) {
    failures.push(name);
    console.log(`${shape}, ${name} FAILED: ${error instanceof Error ? error.stack : String(error)}`);
  }
  console.log(`${shape}, ${name} took ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}
console.log(JSON.stringify({ bench: 'cuda_fit', shape, weights, results, failures }));
process.exit(failures.length === 0 ? 0 : 1);
