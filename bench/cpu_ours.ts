// Our side of the CPU benchmark: the same flags and the same JSON line as its peer, bench/peers/cpu.py.
import { parseArgs } from 'node:util';
import { createOnnxBackend } from '../src/backends/onnx/index.ts';
import { readConversations } from '../src/data/conversation.ts';
import { GENERATE_DEFAULTS, Generator } from '../src/generate/generator.ts';
import { initLora, loraParameters, loraSpec } from '../src/models/qwen2_vl/adapter.ts';
import { loadWeights } from '../src/models/qwen2_vl/load.ts';
import { parameters } from '../src/models/qwen2_vl/parameters.ts';
import { Processor } from '../src/models/qwen2_vl/processor.ts';
import type { Bucket } from '../src/models/qwen2_vl/programs.ts';
import { encodeRows, promptOf, sizeOfSample } from '../src/train/dataset.ts';
import { chooseBucket, pack } from '../src/train/packing.ts';
import { LORA_TARGETS } from '../src/train/run_config.ts';
import { Trainer } from '../src/train/trainer.ts';
import { median, round } from './statistics.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    mode: { type: 'string', default: 'step' },
    threads: { type: 'string', default: '2' },
    prompt: { type: 'string', default: 'LaTeX' },
    'min-pixels': { type: 'string', default: '3136' },
    'max-pixels': { type: 'string', default: '47040' },
    'samples-per-step': { type: 'string', default: '16' },
    'lora-r': { type: 'string', default: '16' },
    'lora-dropout': { type: 'string', default: '0.05' },
    steps: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '1' },
    'new-tokens': { type: 'string', default: '32' },
    batches: { type: 'string', default: '1,16' },
  },
});
const number = (flag: Exclude<keyof typeof values, 'mode' | 'prompt' | 'batches'>): number => Number(values[flag]);
const [modelFolder, dataFile] = positionals as [string, string];
const perStep = number('samples-per-step');
const steps = number('warmup') + number('steps');
const batchSizes = values.batches.split(',').map(Number);

const backend = await createOnnxBackend({ threads: number('threads') });
const processor = await Processor.load(modelFolder, {
  minPixels: number('min-pixels'),
  maxPixels: number('max-pixels'),
});
const { config } = processor;
await loadWeights(modelFolder, config, backend);

const began = performance.now();
const count = values.mode === 'step' ? steps * perStep : Math.max(...batchSizes);
const rows = (await readConversations(dataFile)).slice(0, count);
const { samples } = await encodeRows(rows, processor, values.prompt, 'reading');
const prepared = performance.now() - began;
if (samples.length < count) throw new Error(`${dataFile}: ${count} readable samples are needed, got ${samples.length}`);

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

/** The smallest bucket that takes every step's samples in one batch. */
function bucketOf(): Bucket {
  const sizes = samples.map(sizeOfSample);
  const order = Array.from(sizes.keys());
  for (let tokens = 0; ; tokens += 64) {
    const bucket = chooseBucket(sizes, tokens, 1 << 20, config.vision.mergeSize ** 2);
    const whole = (k: number) => pack(order.slice(k * perStep, (k + 1) * perStep), sizes, bucket).length === 1;
    if (Array.from({ length: steps }, (_, k) => whole(k)).every(Boolean)) return bucket;
  }
}

async function runSteps() {
  const settings = {
    r: number('lora-r'),
    alpha: 16,
    dropout: number('lora-dropout'),
    rslora: false,
    targetModules: [...LORA_TARGETS],
  };
  const lora = loraSpec(config, settings);
  initLora(config, lora, 0, backend);
  const bucket = bucketOf();
  const trained = loraParameters(config, lora);
  const trainer = await Trainer.create(backend, config, {
    bucket,
    accumulate: 1,
    lora,
    trained: trained.map((p) => p.name),
    dropout: settings.dropout,
    seed: 0,
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
  });
  const sizes = samples.map(sizeOfSample);
  const times: number[] = [];
  const losses: number[] = [];
  for (let k = 0; k < steps; k++) {
    const order = Array.from({ length: perStep }, (_, i) => k * perStep + i);
    times.push(
      await seconds(async () => {
        losses.push((await trainer.step(samples, pack(order, sizes, bucket), k + 1, k, 1e-4)).loss);
      }),
    );
  }
  const timed = times.slice(number('warmup'));
  const step = median(timed);
  const tokens = samples.reduce((sum, s) => sum + s.ids.length, 0) / steps;
  return {
    step_s: round(step, 4),
    samples_per_s: round(perStep / step, 3),
    tokens_per_s: round(tokens / step, 1),
    first_step_s: round(times[0] as number, 4),
    step_times_s: times.map((t) => round(t, 4)),
    samples_per_step: perStep,
    bucket,
    lora_r: settings.r,
    lora_dropout: settings.dropout,
    losses: losses.map((loss) => round(loss, 5)),
    trainable: trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0),
  };
}

async function runGenerate() {
  const generator = new Generator(backend, config);
  const newTokens = number('new-tokens');
  const generate = [];
  for (const batch of batchSizes) {
    const prompts = samples.slice(0, batch).map(promptOf);
    const run = (maxNewTokens: number) =>
      seconds(async () => {
        const options = { ...GENERATE_DEFAULTS, maxNewTokens, stopIds: [], stopOnRepetition: false };
        const written = await generator.generate(prompts, options);
        if (written.some(({ ids }) => ids.length !== maxNewTokens))
          throw new Error('generation ended early; the figures would be wrong');
      });
    await run(newTokens); // compiles its programs
    await run(1);
    const [whole, first] = [[] as number[], [] as number[]];
    for (let i = 0; i < 3; i++) {
      whole.push(await run(newTokens));
      first.push(await run(1));
    }
    generate.push({
      batch,
      s: round(median(whole), 4),
      new_tokens_per_s: round((batch * newTokens) / median(whole), 2),
      first_token_s: round(median(first), 4),
      decode_tokens_per_s: round((batch * (newTokens - 1)) / (median(whole) - median(first)), 2),
      prompt_tokens: prompts.reduce((sum, p) => sum + p.ids.length, 0),
    });
  }
  return { new_tokens: newTokens, generate };
}

const result = values.mode === 'step' ? await runSteps() : await runGenerate();
console.log(
  JSON.stringify({
    side: 'texlens',
    mode: values.mode,
    threads: number('threads'),
    parameters: parameters(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0),
    mean_tokens: round(samples.reduce((sum, s) => sum + s.ids.length, 0) / samples.length, 1),
    ...result,
    prepare_s: round(prepared / 1000, 3),
    peak_rss_mib: round(process.resourceUsage().maxRSS / 1024, 1),
    node: process.version,
  }),
);
