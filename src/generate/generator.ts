// Writes text for images: prefill of a batch of prompts, then decoding steps over a KV cache that grows by doubling.
import type { Backend, Executable } from '../backends/contract.ts';
import { Graph } from '../graph/graph.ts';
import type { EncodedSample, PlacedSample } from '../models/qwen2_vl/batch.ts';
import { packedInputs } from '../models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { mropePositions } from '../models/qwen2_vl/positions.ts';
import { type Bucket, decode, prefill } from '../models/qwen2_vl/programs.ts';
import { cacheName } from '../models/qwen2_vl/text.ts';
import { type LoraSpec, Scope } from '../nn/scope.ts';
import { Random } from '../shared/random.ts';
import { isLooping } from './repetition.ts';
import { type Choice, chooseToken, GREEDY, type SamplingOptions } from './sampling.ts';

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

export interface Generation {
  /** new tokens without the stop token */
  readonly ids: number[];
  /** mean probability of the tokens written, the stop token included */
  readonly confidence: number;
  readonly stop: 'stop_token' | 'length' | 'repetition';
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
  ) {}

  take({ token, probability }: Choice, options: GenerateOptions): void {
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

const roundUp = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;
/** Sizes are rounded up to few buckets, so that few programs are compiled. */
const powerBucket = (n: number, least: number): number => Math.max(least, 2 ** Math.ceil(Math.log2(Math.max(1, n))));

export class Generator {
  private readonly programs = new Map<string, Promise<Executable>>();

  /** @param lora the adapter whose states are in the backend, or null for the plain (or merged) model */
  constructor(
    private readonly backend: Backend,
    private readonly config: Qwen2VLConfig,
    private readonly lora: LoraSpec | null = null,
  ) {}

  /**
   * Generates for a batch of prompts (several images each allowed). `onToken` streams: index of the prompt and its token.
   */
  async generate(
    prompts: readonly EncodedSample[],
    options: GenerateOptions,
    onToken?: (index: number, token: number) => void,
  ): Promise<Generation[]> {
    const sequences = prompts.map((prompt) => {
      const { ropeDelta } = mropePositions(
        prompt.ids,
        prompt.images.map((image) => image.grid),
        this.config,
      );
      return new Sequence(prompt, ropeDelta);
    });
    if (sequences.length === 0) return [];
    const random = Random.from(options.seed);
    const batch = powerBucket(sequences.length, 1);
    const vocabulary = this.config.text.vocabSize;
    const take = (logits: Float32Array) =>
      sequences.forEach((sequence, b) => {
        if (sequence.stop) return;
        const row = logits.subarray(b * vocabulary, (b + 1) * vocabulary);
        const seen = options.repetitionPenalty === 1 ? [] : [...sequence.prompt.ids, ...sequence.ids];
        const choice = chooseToken(row, seen, options, random);
        sequence.take(choice, options);
        if (sequence.stop !== 'stop_token') onToken?.(b, choice.token);
      });

    const longest = Math.max(...prompts.map((prompt) => prompt.ids.length));
    let length = powerBucket(longest + Math.min(options.maxNewTokens, 64), 64);
    this.resizeCache(batch, length, 0);
    take(await this.prefill(prompts, batch, length));
    while (sequences.some((sequence) => !sequence.stop)) {
      const lengths = Int32Array.from({ length: batch }, (_, b) => {
        const sequence = sequences[b];
        return sequence ? sequence.prompt.ids.length + Math.max(0, sequence.ids.length - 1) : 0;
      });
      if (Math.max(...lengths) >= length) {
        this.resizeCache(batch, 2 * length, length);
        length *= 2;
      }
      take(await this.step(sequences, lengths, length));
    }
    return sequences.map((sequence) => sequence.result());
  }

  /** Logits [batch, V] of each prompt's last token. */
  private async prefill(prompts: readonly EncodedSample[], batch: number, length: number): Promise<Float32Array> {
    const mergeArea = this.config.vision.mergeSize ** 2;
    const counts = prompts.flatMap((p) => p.images.map(({ grid: [t, h, w] }) => t * h * w));
    const row = roundUp(Math.max(...prompts.map((p) => p.ids.length)), 32);
    const patchRow = powerBucket(Math.max(1, ...counts), 16 * mergeArea);
    const patchRows = Math.max(1, counts.length) <= batch ? batch : powerBucket(counts.length, 1);
    const patches = counts.length ? patchRows * patchRow : 0;
    const bucket: Bucket = { tokens: batch * row, row, patches, patchRow, labels: 0 };
    let image = 0;
    const placed: PlacedSample[] = prompts.map((sample, b) => ({
      sample: { ...sample, labelStart: sample.ids.length },
      start: b * row,
      segment: 1,
      patchStarts: sample.images.map(() => image++ * patchRow),
    }));
    const program = await this.program(`prefill ${JSON.stringify(bucket)} ${length}`, (scope) =>
      prefill(scope, this.config, bucket, length),
    );
    const last = Int32Array.from({ length: batch }, (_, b) => b * row + (prompts[b]?.ids.length ?? 1) - 1);
    const { logits } = await program.run({ ...packedInputs(this.config, bucket, placed, 0), last });
    return logits as Float32Array;
  }

  private async step(sequences: readonly Sequence[], lengths: Int32Array, length: number): Promise<Float32Array> {
    const batch = lengths.length;
    const program = await this.program(`decode ${batch} ${length}`, (scope) =>
      decode(scope, this.config, batch, length),
    );
    const ids = new Int32Array(batch);
    const positions = new Int32Array(3 * batch);
    sequences.forEach((sequence, b) => {
      ids[b] = sequence.ids.at(-1) ?? 0;
      for (let axis = 0; axis < 3; axis++) positions[axis * batch + b] = (lengths[b] as number) + sequence.ropeDelta;
    });
    const { logits } = await program.run({ ids, positions, lengths });
    return logits as Float32Array;
  }

  private program(key: string, trace: (scope: Scope) => Graph): Promise<Executable> {
    const found = this.programs.get(key);
    if (found) return found;
    const scope = new Scope(new Graph(this.backend.decomposed), { lora: this.lora });
    const compiled = this.backend.compile(trace(scope));
    this.programs.set(key, compiled);
    return compiled;
  }

  /** Makes caches [batch, kvHeads, length, d], keeping the first `kept` rows of each. */
  private resizeCache(batch: number, length: number, kept: number): void {
    const { layers, kvHeads, headDim } = this.config.text;
    for (let layer = 0; layer < layers; layer++)
      for (const part of ['k', 'v'] as const) {
        const name = cacheName(layer, part);
        const data = new Float32Array(batch * kvHeads * length * headDim);
        if (kept > 0) {
          const old = this.backend.getState(name).data as Float32Array;
          for (let row = 0; row < batch * kvHeads; row++)
            data.set(old.subarray(row * kept * headDim, (row + 1) * kept * headDim), row * length * headDim);
        }
        this.backend.setState(name, { dtype: 'f32', shape: [batch, kvHeads, length, headDim] }, data);
      }
  }

  /** Frees the compiled programs and the cache. */
  async dispose(): Promise<void> {
    for (const program of this.programs.values()) await (await program).dispose();
    this.programs.clear();
    for (let layer = 0; layer < this.config.text.layers; layer++)
      for (const part of ['k', 'v'] as const) this.backend.deleteState(cacheName(layer, part));
  }
}
