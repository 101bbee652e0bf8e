// What a run is made of, before its first step: samples and their bucket, weights and adapter, and the programs as they
// fit the machine.
import { dirname, join } from 'node:path';
import type { OpenedBackend } from '../backends/open.ts';
import { type Conversation, readConversations } from '../data/conversation.ts';
import { formulasIn } from '../data/synthetic/formula_lists.ts';
import { READ_AT_ONCE } from '../generate/read.ts';
import type { Precision } from '../graph/types.ts';
import { initLora, type LoraSettings, loraParameters, loraSpec } from '../models/qwen2_vl/adapter.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { loadWeights } from '../models/qwen2_vl/load.ts';
import { chooseBucket, misfit, type SampleSize } from '../models/qwen2_vl/packing.ts';
import { parameters, towerOf } from '../models/qwen2_vl/parameters.ts';
import { type ImageSizing, Processor, type Tidying } from '../models/qwen2_vl/processor.ts';
import type { Bucket } from '../models/qwen2_vl/programs.ts';
import type { Instruction } from '../models/qwen2_vl/trained_settings.ts';
import type { LoraSpec, ScopeOptions } from '../nn/scope.ts';
import { InputError } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import { type Encoded, encodeRows, promptOf, sizeOfSample } from './dataset.ts';
import { type DrawnOptions, DrawnSamples } from './drawn_samples.ts';
import { keptFeatures } from './feature_cache.ts';
import { identityOf } from './identity.ts';
import { type Fitting, fitMemory, readingProgram } from './memory.ts';
import { countSteps } from './plan.ts';
import type { RunConfig } from './run_schema.ts';
import { SampleCache } from './sample_cache.ts';
import { FileSamples, fittingLabelled, type SampleSource, type Stretch } from './samples.ts';
import { type TrainerOptions, tracePrograms } from './trainer.ts';

export interface Setup {
  readonly processor: Processor;
  readonly instruction: Instruction;
  readonly source: SampleSource;
  /** the first stretch of the source, as it fits the bucket */
  readonly first: Stretch;
  readonly validation: Encoded | null;
  readonly bucket: Bucket;
  /** optimiser steps of the whole run */
  readonly total: number;
  readonly lora: LoraSpec | null;
  /** the adapter's settings as they are written */
  readonly written: LoraSettings;
  /** states that train */
  readonly trained: readonly string[];
  readonly scopeOptions: ScopeOptions;
  readonly maxNewTokens: number;
  readonly fitting: Fitting;
  /** what must be equal to resume */
  readonly identity: string;
  close(): Promise<void>;
}

const sizingOf = ({ min_pixels, max_pixels, resized_height, resized_width }: RunConfig['image']): ImageSizing =>
  resized_height !== undefined && resized_width !== undefined
    ? { resizedHeight: resized_height, resizedWidth: resized_width }
    : { minPixels: min_pixels as number, maxPixels: max_pixels as number };

const tidyingOf = ({ tidy_em }: RunConfig['image']): Tidying | undefined => (tidy_em ? { em: tidy_em } : undefined);

/** Samples of a block where nothing is said: a card takes them as fast as many cores draw them. */
const BLOCK = { bf16: 4096, f32: 512 } as const;

/** Blocks from one look of a formula to the next: no step sees two of them, nor does its neighbour. */
const LOOKS_APART = 4;

type DrawSettings = NonNullable<RunConfig['data']['draw']>;

function drawnOptions(
  { workers, block, passes, formulas, grammar, varied, looks, style, level }: DrawSettings,
  seed: number,
  prompt: string,
  precision: Precision,
): DrawnOptions {
  const lists = formulas && { formulas, grammar: grammar ?? 0, varied };
  const size = block ?? BLOCK[precision];
  const again = looks && { looks, apart: LOOKS_APART * size };
  return { draw: { seed, style, level, ...lists, ...again }, prompt, block: size, passes, workers };
}

/** Reads or draws the samples, loads the weights, and traces the programs. */
export async function setUp(
  config: RunConfig,
  instruction: Instruction,
  { backend, precision }: OpenedBackend,
): Promise<Setup> {
  const { train } = config;
  const processor = await Processor.load(config.model, sizingOf(config.image), tidyingOf(config.image));
  const model = processor.config;
  const { lora, written, trained } = whatTrains(config, model);
  const { source, val, drawn, close } = await openSamples(config, processor, instruction, precision);
  try {
    const area = model.vision.mergeSize ** 2;
    const oneRow = backend.walksSegments(precision, model.text.headDim);
    const bucketFor = (sizes: readonly SampleSize[], tokens: number) =>
      chooseBucket(sizes, tokens, train.row_tokens, area, oneRow);
    const ofTraining = bucketFor(source.sizes, train.batch_tokens);
    // Validation samples larger than all that train must fit as well, for their loss is told.
    const larger = val?.samples.map(sizeOfSample).filter((size) => misfit(size, ofTraining) !== null) ?? [];
    const choose = (tokens: number) => bucketFor([...source.sizes, ...larger], tokens);
    const bucket = choose(train.batch_tokens);
    const first = source.fit(bucket);
    const validation = val && fittingLabelled(val, bucket);
    const sizes = first.samples.map(sizeOfSample);
    const total = countSteps(sizes, bucket, { ...train, maxSteps: train.max_steps });

    const states = new Set(trained);
    await loadWeights(config.model, model, backend, (name) => (states.has(name) ? 'f32' : precision));
    if (lora) initLora(model, lora, train.seed, backend);
    const wanted: TrainerOptions = {
      bucket,
      accumulate: train.accumulate,
      lora,
      trained,
      dropout: config.lora.dropout,
      seed: train.seed,
      update: {
        beta1: train.betas[0],
        beta2: train.betas[1],
        eps: train.eps,
        weightDecay: train.weight_decay,
        maxGradNorm: train.max_grad_norm,
      },
      precision,
      // Drawn images do not come again.
      keepFeatures: trained.every((name) => towerOf(name) === 'text')
        ? keptFeatures(drawn ? 0 : train.feature_cache, model, precision, sizes)
        : null,
      recompute: false,
    };
    const scopeOptions = { precision, trained: states };
    const maxNewTokens = config.eval.max_new_tokens;
    const prompts = validation?.samples.map(promptOf).sort((a, b) => b.ids.length - a.ids.length);
    const fitting = fitMemory(backend, wanted, (o) => tracePrograms(backend, model, o), {
      recompute: train.recompute,
      limit: train.memory_limit,
      fewerFeatures: train.feature_cache === undefined,
      reader: prompts
        ? readingProgram(backend, model, { ...scopeOptions, lora }, prompts.slice(0, READ_AT_ONCE), maxNewTokens)
        : null,
      *smaller() {
        for (let share = 2; bucket.tokens / share >= train.row_tokens; share *= 2) {
          const smaller = choose(bucket.tokens / share);
          const settings = `train.batch_tokens: ${smaller.tokens} with train.accumulate: ${train.accumulate * share}`;
          yield { settings, options: { ...wanted, bucket: smaller, accumulate: train.accumulate * share } };
        }
      },
    });

    // How a step fits its memory, and how many threads draw, may change when a run is resumed.
    const numeric = { ...train, recompute: undefined, memory_limit: undefined };
    const drawing = drawn && { draw: drawn.draw, block: drawn.block, passes: drawn.passes };
    const identity = await identityOf({
      settings: [config.method, config.lora, config.freeze, config.image, numeric, instruction, total, drawing],
      samples: first.samples,
      formulas: formulasIn(drawn?.draw.formulas ?? []),
      model: config.model,
    });
    return {
      ...{ processor, instruction, source, first, validation, bucket, total, lora, written, trained },
      ...{ scopeOptions, maxNewTokens, fitting, identity, close },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The states that train: those of an adapter, as it is written too, or the weights that are not frozen. */
function whatTrains({ method, lora, freeze }: RunConfig, model: Qwen2VLConfig) {
  const isOpen = (name: string) => !freeze[towerOf(name)];
  const settings: LoraSettings = { ...lora, targetModules: lora.target_modules };
  if (method === 'full') {
    const trained = parameters(model)
      .map(({ name }) => name)
      .filter(isOpen);
    return { lora: null, written: settings, trained };
  }
  const all = loraSpec(model, settings);
  const used: LoraSpec = { ...all, modules: new Set([...all.modules].filter(isOpen)) };
  if (used.modules.size === 0)
    throw new InputError('lora.target_modules: every module they match is frozen; nothing would train.');
  // An adapter that skips frozen towers names its modules in full, so that it loads as what it is.
  const isWhole = used.modules.size === all.modules.size;
  const written: LoraSettings = isWhole ? settings : { ...settings, targetModules: [...used.modules] };
  return { lora: used, written, trained: loraParameters(model, used).map(({ name }) => name) };
}

/** Samples to train on and to validate by, and what closes them. */
async function openSamples(config: RunConfig, processor: Processor, instruction: Instruction, precision: Precision) {
  const { data, train, eval: evaluation } = config;
  const cache = await openCache(config, processor);
  try {
    const encode = (rows: readonly Conversation[], title: string): Promise<Encoded> =>
      encodeRows(rows, processor, instruction, title, cache);
    const valRows = data.val === undefined ? [] : (await readConversations(data.val)).slice(0, evaluation.count);
    if (data.val !== undefined && valRows.length === 0) say(`${data.val} holds no samples: nothing will be evaluated`);
    const val = valRows.length > 0 ? await encode(valRows, 'reading validation') : null;
    const drawn = data.draw && drawnOptions(data.draw, train.seed, instruction.prompt, precision);
    const source: SampleSource = drawn
      ? await DrawnSamples.open(config.model, processor, drawn)
      : new FileSamples(await encode(await readConversations(data.train!), 'reading'));
    const close = async (): Promise<void> => {
      cache?.close();
      await source.close();
    };
    return { source, val, drawn, close };
  } catch (error) {
    cache?.close();
    throw error;
  }
}

/** The cache of processed samples, where files are read. */
async function openCache({ data, model }: RunConfig, processor: Processor): Promise<SampleCache | null> {
  const file = data.train ?? data.val;
  if (file === undefined) return null;
  return SampleCache.open({
    folder: data.cache ?? join(dirname(file), '.texlens-cache'),
    limitBytes: data.cache_limit_gb * 1e9,
    model,
    processor,
  });
}
