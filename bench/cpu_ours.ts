// Our side of the CPU benchmark: the same flags and the same JSON line as its peer, bench/peers/cpu.py; --int8 generates with
// products in 8 bits.
import { parseArgs } from 'node:util';
import { createOnnxBackend } from '../src/backends/onnx/index.ts';
import { readConversations } from '../src/data/conversation.ts';
import { GENERATE_DEFAULTS, Generator } from '../src/generate/generator.ts';
import { initLora, loraParameters, loraSpec } from '../src/models/qwen2_vl/adapter.ts';
import { loadWeights } from '../src/models/qwen2_vl/load.ts';
import { chooseBucket, pack } from '../src/models/qwen2_vl/packing.ts';
import { parameters } from '../src/models/qwen2_vl/parameters.ts';
import { Processor } from '../src/models/qwen2_vl/processor.ts';
import { encodeRows, promptOf, sizeOfSample } from '../src/train/dataset.ts';
import { LORA_TARGETS } from '../src/train/run_schema.ts';
import { Trainer, type TrainerOptions, tracePrograms } from '../src/train/trainer.ts';
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
    int8: { type: 'boolean', default: false },
  },
});
const number = (flag: Exclude<keyof typeof values, 'mode' | 'prompt' | 'batches' | 'int8'>): number =>
  Number(values[flag]);
const [modelFolder, dataFile] = positionals as [string, string];
const perStep = number('samples-per-step');
const steps = number('warmup') + number('steps');
const batchSizes = values.batches.split(',').map(Number);

const backend = await createOnnxBackend({ threads: number('threads'), int8: values.int8 });
const processor = await Processor.load(modelFolder, {
  minPixels: number('min-pixels'),
  maxPixels: number('max-pixels'),
});
const { config } = processor;
await loadWeights(modelFolder, config, backend);

const began = performance.now();
const count = values.mode === 'step' ? steps * perStep : Math.max(...batchSizes);
const rows = (await readConversations(dataFile)).slice(0, count);
const { samples } = await encodeRows(rows, processor, { prompt: values.prompt, replaces: true }, 'reading');
const prepared = performance.now() - began;
if (samples.length < count) throw new Error(`${dataFile}: ${count} readable samples are needed, got ${samples.length}`);

interface Timing {
  readonly wall: number;
  readonly cpu: number;
}

/** Seconds of the clock, and of processor time over all threads, which other load on the machine touches less. */
const timed = async (work: () => Promise<unknown>): Promise<Timing> => {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
};
const medianOf = (timings: readonly Timing[], part: keyof Timing) => median(timings.map((t) => t[part]));

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
  // A step holds what fits its token budget, as in a training run: here as many tokens as a step of the peer on average.
  const sizes = samples.map(sizeOfSample);
  const meanTokens = sizes.reduce((sum, size) => sum + size.tokens, 0) / sizes.length;
  const bucket = chooseBucket(sizes, perStep * meanTokens, 1 << 20, config.vision.mergeSize ** 2);
  const batches = pack(Array.from(sizes.keys()), sizes, bucket).slice(0, steps);
  const trained = loraParameters(config, lora);
  const options: TrainerOptions = {
    bucket,
    accumulate: 1,
    lora,
    trained: trained.map((p) => p.name),
    dropout: settings.dropout,
    seed: 0,
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    precision: 'f32',
    // The tower runs in every step, as the peer's does, though it is frozen.
    keepFeatures: null,
    recompute: false,
  };
  const trainer = await Trainer.create(backend, config, options, tracePrograms(backend, config, options));
  // B is zero yet, so this is the loss of the plain model on the samples of the peer's first step.
  const first = Array.from({ length: perStep }, (_, i) => i);
  const firstLoss = await trainer.loss(samples, pack(first, sizes, bucket));
  const times: (Timing & { samples: number; tokens: number })[] = [];
  for (const [k, batch] of batches.entries()) {
    const timing = await timed(() => trainer.step(samples, [batch], k + 1, k, 1e-4));
    const tokens = batch.reduce((sum, { sample }) => sum + sizes[sample]!.tokens, 0);
    times.push({ ...timing, samples: batch.length, tokens });
  }
  const counted = times.slice(number('warmup'));
  const perSecond = (part: 'samples' | 'tokens') => median(counted.map((t) => t[part] / t.wall));
  return {
    step_s: round(medianOf(counted, 'wall'), 4),
    cpu_s_per_sample: round(median(counted.map((t) => t.cpu / t.samples)), 5),
    samples_per_s: round(perSecond('samples'), 3),
    tokens_per_s: round(perSecond('tokens'), 1),
    first_step_s: round(times[0]!.wall, 4),
    step_times_s: times.map((t) => round(t.wall, 4)),
    samples_per_step: round(counted.reduce((sum, t) => sum + t.samples, 0) / counted.length, 1),
    bucket,
    lora_r: settings.r,
    lora_dropout: settings.dropout,
    first_loss: round(firstLoss, 5),
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
      timed(async () => {
        const options = { ...GENERATE_DEFAULTS, maxNewTokens, stopIds: [], stopOnRepetition: false };
        const written = await generator.generate(prompts, options);
        if (written.some(({ ids }) => ids.length !== maxNewTokens))
          throw new Error('generation ended early; the figures would be wrong');
      });
    await run(newTokens); // compiles its programs
    await run(1);
    const [wholes, firsts]: [Timing[], Timing[]] = [[], []];
    for (let i = 0; i < 3; i++) {
      wholes.push(await run(newTokens));
      firsts.push(await run(1));
    }
    const [whole, first] = [medianOf(wholes, 'wall'), medianOf(firsts, 'wall')];
    generate.push({
      batch,
      s: round(whole, 4),
      cpu_s: round(medianOf(wholes, 'cpu'), 4),
      new_tokens_per_s: round((batch * newTokens) / whole, 2),
      first_token_s: round(first, 4),
      first_token_cpu_s: round(medianOf(firsts, 'cpu'), 4),
      decode_tokens_per_s: round((batch * (newTokens - 1)) / (whole - first), 2),
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
    int8: values.int8,
    threads: number('threads'),
    parameters: parameters(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0),
    mean_tokens: round(samples.reduce((sum, s) => sum + s.ids.length, 0) / samples.length, 1),
    ...result,
    prepare_s: round(prepared / 1000, 3),
    peak_rss_mib: round(process.resourceUsage().maxRSS / 1024, 1),
    node: process.version,
  }),
);
