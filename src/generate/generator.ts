// Writes text for images: prefill of a batch of prompts, then decoding steps over a KV cache that grows by doubling.
import type { Backend, Executable, Tensors } from '../backends/contract.ts';
import { Graph } from '../graph/graph.ts';
import { hostArray, typeName } from '../graph/types.ts';
import { type EncodedSample, type PlacedSample, packedInputs } from '../models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { mropePositions } from '../models/qwen2_vl/positions.ts';
import type { Processor } from '../models/qwen2_vl/processor.ts';
import {
  type CacheSize,
  chooseFirst,
  DECODING,
  decode,
  LOGITS,
  logitsShape,
  prefill,
} from '../models/qwen2_vl/programs.ts';
import { cacheName } from '../models/qwen2_vl/text.ts';
import { beginChoices, CHOICE, type ChoiceKind, GREEDY, kindOf, type SamplingOptions } from '../nn/choice.ts';
import { type LoraSpec, Scope, type ScopeOptions } from '../nn/scope.ts';
import { foldKey } from '../shared/random.ts';
import { isLooping } from '../shared/repetition.ts';
import { cacheFor, packPrompts } from './prompts.ts';

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  readonly stopIds: readonly number[];
  readonly stopOnRepetition: boolean;
  readonly seed: number;
}

export const GENERATE_DEFAULTS: Omit<GenerateOptions, 'stopIds'> = {
  ...GREEDY,
  maxNewTokens: 256,
  stopOnRepetition: true,
  seed: 0,
};

/** Greedy, with what the model's own files say of stopping and of repetition. */
export const usualOptions = ({ config, stopIds }: Pick<Processor, 'config' | 'stopIds'>): GenerateOptions => ({
  ...GENERATE_DEFAULTS,
  repetitionPenalty: config.repetitionPenalty,
  stopIds,
});

export interface Generation {
  /** new tokens without the stop token */
  readonly ids: number[];
  /** mean probability of the tokens written, the stop token included */
  readonly confidence: number;
  /** `blank`: nothing is on the picture, and the model was not asked */
  readonly stop: 'stop_token' | 'length' | 'repetition' | 'blank';
}

/** One sequence of a running batch. */
class Sequence {
  readonly ids: number[] = [];
  stop: Generation['stop'] | null = null;
  private probability = 0;
  private count = 0;

  constructor(
    readonly prompt: EncodedSample,
    readonly ropeDelta: number,
    readonly options: GenerateOptions,
  ) {}

  take(token: number, probability: number): void {
    const { options } = this;
    this.probability += probability;
    this.count++;
    if (options.stopIds.includes(token)) {
      this.stop = 'stop_token';
      return;
    }
    this.ids.push(token);
    if (this.ids.length >= options.maxNewTokens) this.stop = 'length';
    else if (options.stopOnRepetition && isLooping(this.ids)) this.stop = 'repetition';
  }

  result(): Generation {
    return { ids: this.ids, confidence: this.count ? this.probability / this.count : 0, stop: this.stop ?? 'length' };
  }
}

/**
 * Each program keeps the memory that it ran in, and on the CPU those of decoding a copy of the weights; prefill comes in many
 * sizes (12 for single formulas), is compiled in less time, and shall not push them out. First choices are small.
 */
const MOST_PROGRAMS = { prefill: 12, first: 12, decode: 6 } as const;
type Kind = keyof typeof MOST_PROGRAMS;

/** The weights must stay as they are while a generator lives: decoding programs may hold them. */
export class Generator {
  /** of each kind, the one used last stands last */
  private readonly programs: Record<Kind, Map<string, Executable>> = {
    ...{ prefill: new Map(), first: new Map(), decode: new Map() },
  };
  /** the states that it makes for its batches; all others that its programs name are weights */
  private readonly own: ReadonlySet<string>;

  /**
   * @param lora the adapter whose states are in the backend, or null for the plain (or merged) model
   * @param options how the weights are stored
   */
  constructor(
    private readonly backend: Backend,
    private readonly config: Qwen2VLConfig,
    private readonly lora: LoraSpec | null = null,
    private readonly options: Pick<ScopeOptions, 'precision' | 'trained'> = {},
  ) {
    const caches = Array.from({ length: config.text.layers }, (_, layer) =>
      (['k', 'v'] as const).map((part) => cacheName(layer, part)),
    );
    this.own = new Set([...caches.flat(), LOGITS, ...Object.values(DECODING), ...Object.values(CHOICE)]);
  }

  /**
   * Generates for a batch of prompts (several images each allowed). `onToken` streams: index of the prompt and its token.
   * @param options those of all prompts, or each one's own
   */
  async generate(
    prompts: readonly EncodedSample[],
    options: GenerateOptions | readonly GenerateOptions[],
    onToken?: (index: number, token: number) => void,
  ): Promise<Generation[]> {
    const sequences = prompts.map((prompt, b) => {
      const { ropeDelta } = mropePositions(
        prompt.ids,
        prompt.images.map((image) => image.grid),
        this.config,
      );
      return new Sequence(prompt, ropeDelta, 'stopIds' in options ? options : options[b]!);
    });
    if (sequences.length === 0) return [];
    const choice = kindOf(sequences.map((sequence) => sequence.options));
    const take = ({ token, probability }: Tensors) =>
      sequences.forEach((sequence, b) => {
        if (sequence.stop) return;
        const chosen = token![b] as number;
        sequence.take(chosen, probability![b] as number);
        if (sequence.stop !== 'stop_token') onToken?.(b, chosen);
      });

    const longest = Math.max(...prompts.map((prompt) => prompt.ids.length));
    const most = Math.max(...sequences.map((sequence) => sequence.options.maxNewTokens));
    // Where a run is done by its caller the cache grows by need, for attention walks all of it.
    const room = this.backend.ahead > 1 ? most : Math.min(most, 64);
    const { cache: first, filled } = cacheFor(prompts, room);
    const { batch } = first;
    let cache = first;
    this.resizeCache(cache, 0);
    this.beginChoosing(sequences, batch, choice);
    take(await this.prefill(prompts, cache, filled, choice));
    const running = () => sequences.some((sequence) => !sequence.stop);
    this.beginDecoding(sequences, batch);
    for (let made = 1; running(); ) {
      const cached = longest + made - 1;
      if (cached >= cache.length) {
        const { length } = cache;
        cache = { batch, length: 2 * length };
        this.resizeCache(cache, length);
      }
      const steps = Math.min(cache.length - cached, most - made);
      await this.stepOn(cache, choice, steps, (result) => {
        take(result);
        return running();
      });
      made += steps;
    }
    return sequences.map((sequence) => sequence.result());
  }

  /** Fills the caches with the prompts, and chooses each one's first token. */
  private async prefill(
    prompts: readonly EncodedSample[],
    cache: CacheSize,
    filled: number,
    choice: ChoiceKind,
  ): Promise<Tensors> {
    // A prompt that stands there several times is computed once; each of its sequences takes its rows from there.
    const different = [...new Set(prompts)];
    const { bucket, placed } = packPrompts(different, this.config.vision.mergeSize ** 2);
    const program = await this.program('prefill', [bucket, cache, filled], (scope) =>
      prefill(scope, this.config, bucket, cache, filled),
    );
    const first = await this.program('first', [cache.batch, choice], ({ graph }) =>
      chooseFirst(graph, this.config, cache.batch, choice),
    );
    const last = new Int32Array(cache.batch);
    const places = new Int32Array(cache.batch * filled);
    prompts.forEach((prompt, b) => {
      const { start } = placed[different.indexOf(prompt)] as PlacedSample;
      const { length } = prompt.ids;
      last[b] = start + length - 1;
      for (let i = 0; i < length; i++) places[b * filled + i] = start + i;
    });
    const inputs = { ...packedInputs(this.config, bucket, placed, 0), last, places };
    const [, chosen] = await Promise.all([program.run(inputs), first.run({})]);
    return chosen;
  }

  /** Sets the states that choices go by; equal prompts and seeds draw as their places in the batch say. */
  private beginChoosing(sequences: readonly Sequence[], batch: number, choice: ChoiceKind): void {
    const rows = sequences.map(({ options, prompt }, b) => ({
      ...{ ...options, key: foldKey(options.seed, b), seen: prompt.ids },
    }));
    beginChoices(this.backend, choice, rows, batch, this.config.text.vocabSize);
    const logits = { dtype: 'f32', shape: logitsShape(this.config, batch) } as const;
    if (!this.backend.hasState(LOGITS) || typeName(this.backend.typeOf(LOGITS)) !== typeName(logits))
      this.backend.clearState(LOGITS, logits);
  }

  /** Sets the states that decoding goes on from. */
  private beginDecoding(sequences: readonly Sequence[], batch: number): void {
    const set = (name: string, of: (sequence: Sequence) => number) => {
      const data = new Int32Array(batch);
      sequences.forEach((sequence, b) => {
        data[b] = of(sequence);
      });
      this.backend.setState(name, { dtype: 'i32', shape: [batch] }, data);
    };
    set(DECODING.ids, ({ ids }) => ids.at(-1) ?? 0);
    set(DECODING.lengths, ({ prompt }) => prompt.ids.length);
    set(DECODING.ropeDelta, ({ ropeDelta }) => ropeDelta);
  }

  /** Up to so many steps while `goOn` says so of each; some are called before the first of them has ended. */
  private async stepOn(
    cache: CacheSize,
    choice: ChoiceKind,
    steps: number,
    goOn: (result: Tensors) => boolean,
  ): Promise<void> {
    const program = await this.program('decode', [cache, choice], (scope) => decode(scope, this.config, cache, choice));
    const called: Promise<Tensors>[] = [];
    for (let left = steps, wanted = true; ; ) {
      for (; wanted && left > 0 && called.length < this.backend.ahead; left--) {
        const run = program.run({});
        run.catch(() => {}); // an error is met in its turn
        called.push(run);
      }
      const next = called.shift();
      if (!next) return;
      // Steps that were called when the last sequence had ended run for nothing.
      const result = await next;
      wanted &&= goOn(result);
    }
  }

  /** The program of these sizes, compiled when it is new; the one unused for longest makes room. */
  private async program(kind: Kind, sizes: readonly unknown[], trace: (scope: Scope) => Graph): Promise<Executable> {
    const programs = this.programs[kind];
    const key = JSON.stringify(sizes);
    let program = programs.get(key);
    if (!program) {
      if (programs.size === MOST_PROGRAMS[kind]) {
        const [oldest, unused] = programs.entries().next().value as [string, Executable];
        programs.delete(oldest);
        await unused.dispose();
      }
      const scope = new Scope(new Graph(this.backend.decomposed), { ...this.options, lora: this.lora });
      const frozen = (state: string) => !this.own.has(state);
      program = await this.backend.compile(trace(scope), { frozen, often: kind === 'decode' });
    }
    programs.delete(key);
    programs.set(key, program);
    return program;
  }

  /** Makes caches [batch, kvHeads, length, d], keeping the first `kept` rows of each. */
  private resizeCache({ batch, length }: CacheSize, kept: number): void {
    const { layers, kvHeads, headDim } = this.config.text;
    for (let layer = 0; layer < layers; layer++)
      for (const part of ['k', 'v'] as const) {
        const name = cacheName(layer, part);
        const type = { dtype: this.options.precision ?? 'f32', shape: [batch, kvHeads, length, headDim] };
        // What an earlier batch left in a cache of this size is never read: rows count only up to a sequence's length.
        if (kept === 0 && this.backend.hasState(name) && typeName(this.backend.typeOf(name)) === typeName(type))
          continue;
        if (kept === 0) {
          this.backend.clearState(name, type);
          continue;
        }
        const data = hostArray(type);
        const old = this.backend.getState(name).data;
        for (let row = 0; row < batch * kvHeads; row++)
          data.set(old.subarray(row * kept * headDim, (row + 1) * kept * headDim), row * length * headDim);
        this.backend.setState(name, type, data);
      }
  }

  /** Frees the compiled programs and the cache. */
  async dispose(): Promise<void> {
    for (const programs of Object.values(this.programs)) {
      for (const program of programs.values()) await program.dispose();
      programs.clear();
    }
    for (const name of this.own) this.backend.deleteState(name);
  }
}
