// Decoding of the Qwen2-VL-2B shape with random weights on one card, greedy and sampled: new tokens a second of a whole
// call, split into the first token and the steps; then every kernel of a step by itself, over weights that no cache holds,
// against cuBLASLt. The last line is JSON. It takes a minute or two, and needs no files.
// Run: node bench/run.mjs decode [--rows 1,16,64] [--only calls|kernels]
import { parseArgs } from 'node:util';
import type { Backend } from '../src/backends/contract.ts';
import { Device } from '../src/backends/cuda/device.ts';
import { createCudaBackend } from '../src/backends/cuda/index.ts';
import { GENERATE_DEFAULTS, type GenerateOptions, Generator } from '../src/generate/generator.ts';
import { packPrompts } from '../src/generate/prompts.ts';
import { type EncodedSample, packedInputs } from '../src/models/qwen2_vl/batch.ts';
import { Random } from '../src/shared/random.ts';
import { kernelTimes } from './cuda/kernels.ts';
import { QWEN2_VL_2B, randomWeights } from './cuda/model.ts';
import { median, round } from './statistics.ts';

const NEW_TOKENS = 128;
const { values } = parseArgs({ options: { rows: { type: 'string', default: '1,16,64' }, only: { type: 'string' } } });
const batches = values.rows.split(',').map(Number);

const SAMPLING = {
  sampled: { temperature: 0.7, topK: 50, topP: 0.9 },
  'sampled with penalty': { temperature: 0.7, topK: 50, topP: 0.9, repetitionPenalty: 1.05 },
};

/** 504 × 112 pixels, which are 72 image tokens, in a prompt of 120. */
function prompt(seed: number): EncodedSample {
  const random = Random.from(seed);
  const grid = [1, 36, 8] as const;
  const words = (count: number) => Array.from({ length: count }, () => 1000 + (random.bits() % 100_000));
  const ids = Int32Array.from([...words(16), ...new Array<number>(72).fill(QWEN2_VL_2B.imageTokenId), ...words(32)]);
  const pixels = Uint8Array.from({ length: 504 * 112 * 3 }, () => random.bits() & 255);
  return { name: `${seed}`, ids, labelStart: ids.length, images: [{ grid, pixels }] };
}
const prompts = Array.from({ length: Math.max(...batches) }, (_, n) => prompt(n + 1));

/** Medians in milliseconds of whole calls, of the time to the first token, and of a step. */
async function calls(backend: Backend, batch: number, repeats: number, sampling: Partial<GenerateOptions>) {
  const generator = new Generator(backend, QWEN2_VL_2B, null, { precision: 'bf16' });
  const options = { ...GENERATE_DEFAULTS, ...sampling, maxNewTokens: NEW_TOKENS, stopIds: [], stopOnRepetition: false };
  const whole: number[] = [];
  const first: number[] = [];
  let cold = 0;
  for (let i = 0; i <= repeats; i++) {
    const started = performance.now();
    let firstAt = 0;
    await generator.generate(prompts.slice(0, batch), options, () => {
      firstAt ||= performance.now() - started;
    });
    const took = performance.now() - started;
    if (i === 0)
      cold = took; // programs are compiled
    else {
      whole.push(took);
      first.push(firstAt);
    }
  }
  await generator.dispose();
  const [call, firstToken] = [median(whole), median(first)];
  return {
    tokensPerSecond: round((1000 * batch * NEW_TOKENS) / call, 0),
    callMs: round(call, 1),
    firstTokenMs: round(firstToken, 1),
    stepMs: round((call - firstToken) / (NEW_TOKENS - 1), 4),
    coldMs: round(cold, 0),
  };
}

/** Of the time to the first token, what the host spends on the inputs. */
function inputsMs(batch: number): number {
  const started = performance.now();
  const { bucket, placed } = packPrompts(prompts.slice(0, batch), 4);
  packedInputs(QWEN2_VL_2B, bucket, placed, 0);
  return round(performance.now() - started, 1);
}

const results: Record<string, unknown> = {};
if (values.only !== 'kernels')
  for (const overlap of [true, false]) {
    const backend = await createCudaBackend({ overlap });
    randomWeights(backend, QWEN2_VL_2B);
    for (const batch of batches)
      for (const [how, sampling] of Object.entries(overlap ? { greedy: {}, ...SAMPLING } : { greedy: {} })) {
        const row = { ...(await calls(backend, batch, overlap ? 3 : 1, sampling)), inputsMs: inputsMs(batch) };
        const name = `${batch}${overlap ? '' : ' without overlap'}${how === 'greedy' ? '' : ` ${how}`}`;
        results[name] = row;
        console.log(`batch ${name}:`, JSON.stringify(row));
      }
  }
const device = new Device({});
if (values.only !== 'calls')
  for (const rows of batches) {
    const times = kernelTimes(device, QWEN2_VL_2B, { rows, length: 180, capacity: 256 });
    results[`kernels ${rows}`] = times;
    for (const [name, row] of Object.entries(times)) console.log(`${rows} rows, ${name}:`, JSON.stringify(row));
  }
console.log(JSON.stringify({ bench: 'decode', results }));
process.exit(0);
