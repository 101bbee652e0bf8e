// Runs optimiser steps on a backend: traces and compiles the programs of one bucket, feeds packed batches, tells loss
// and gradient norm. Loss is the mean over the label tokens of the whole step, however it is split into micro-batches.
import type { Backend, Executable, Tensors } from '../backends/contract.ts';
import { Graph } from '../graph/graph.ts';
import type { Precision } from '../graph/types.ts';
import { type BatchTensors, type EncodedSample, packedInputs, packedTensors } from '../models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import type { Placement } from '../models/qwen2_vl/packing.ts';
import { type Bucket, packedLoss } from '../models/qwen2_vl/programs.ts';
import { type LoraSpec, Scope } from '../nn/scope.ts';
import { recompute } from '../passes/recompute.ts';
import { RunError } from '../shared/errors.ts';
import { FeatureCache } from './feature_cache.ts';
import { gradState, momentState, traceAccumulate, traceStep, traceUpdate, type UpdateOptions } from './step.ts';

export interface TrainerOptions {
  readonly bucket: Bucket;
  readonly accumulate: number;
  readonly lora: LoraSpec | null;
  /** states to train */
  readonly trained: readonly string[];
  readonly dropout: number;
  readonly seed: number;
  readonly update: UpdateOptions;
  /** what is computed in; weights that do not train are stored in it too */
  readonly precision: Precision;
  /** for frozen towers: rows of image features that are kept across epochs, 0 for none; null runs the tower in the step */
  readonly keepFeatures: number | null;
  /** keeps the layers' inputs alone for the backward pass, at the price of a second forward pass, and fewer logits at once */
  readonly recompute: boolean;
}

/** Rows of logits made at once where memory is short. */
const FEW_LOGIT_ROWS = 256;

/**
 * The traced programs of a run: a micro-batch (a whole step when nothing accumulates), the update, the plain loss, and
 * the frozen towers where they run on their own.
 */
export interface Programs {
  readonly micro: Graph;
  readonly updater: Graph | null;
  readonly evaluator: Graph;
  readonly features: Graph | null;
}

/** Traces a run's programs; the shapes of what trains are those of the backend's states. */
export function tracePrograms(
  backend: Pick<Backend, 'decomposed' | 'typeOf'>,
  config: Qwen2VLConfig,
  options: TrainerOptions,
): Programs {
  const { trained, update, lora, dropout, seed, precision } = options;
  const bucket = lossBucket(config, options);
  const common = { precision, trained: new Set(trained), lora };
  const headTrained = trained.includes(config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight');
  const micro = new Graph(backend.decomposed);
  const drop = dropout && lora ? { p: dropout, seed, tick: micro.input('tick', [], 'i32') } : null;
  const loss = packedLoss(new Scope(micro, { ...common, dropout: drop }), config, bucket, headTrained);
  let updater: Graph | null = null;
  if (options.accumulate === 1) traceStep(micro, loss, trained, update);
  else {
    traceAccumulate(micro, loss, trained);
    updater = new Graph(backend.decomposed);
    traceUpdate(
      updater,
      trained.map((name) => ({ name, shape: backend.typeOf(name).shape })),
      update,
    );
  }
  const evaluator = new Graph(backend.decomposed);
  evaluator.output('loss', packedLoss(new Scope(evaluator, common), config, bucket, false));
  const { keepFeatures } = options;
  const features =
    keepFeatures === null || bucket.patches === 0
      ? null
      : FeatureCache.trace(backend, config, { precision, keep: keepFeatures, bucket: options.bucket });
  return { micro: options.recompute ? recompute(micro) : micro, updater, evaluator, features };
}

/** The bucket of the loss: with features that are made before, it has their rows. */
function lossBucket(config: Qwen2VLConfig, options: TrainerOptions): Bucket {
  const { keepFeatures } = options;
  const bucket = options.recompute ? { ...options.bucket, logitRows: FEW_LOGIT_ROWS } : options.bucket;
  if (keepFeatures === null || bucket.patches === 0) return bucket;
  return { ...bucket, features: FeatureCache.rows(config, { keep: keepFeatures, bucket }) };
}

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
  readonly labelTokens: number;
}

export class Trainer {
  /** Arrays of batches whose runs have ended. A step's are some 10 MB, which to make anew takes longer than to fill. */
  private readonly spare: BatchTensors[] = [];

  private constructor(
    private readonly config: Qwen2VLConfig,
    private readonly options: TrainerOptions,
    private readonly micro: Executable,
    private readonly updater: Executable | null,
    private readonly evaluator: Executable,
    private readonly features: FeatureCache | null,
  ) {}

  /** Compiles the programs, and makes the optimiser's states that are not there yet. */
  static async create(
    backend: Backend,
    config: Qwen2VLConfig,
    options: TrainerOptions,
    { micro, updater, evaluator, features }: Programs,
  ): Promise<Trainer> {
    for (const name of options.trained) {
      const type = backend.typeOf(name);
      for (const state of [momentState(name, 'm'), momentState(name, 'v'), gradState(name)])
        if (!backend.hasState(state) && (options.accumulate > 1 || state !== gradState(name)))
          backend.clearState(state, type);
    }
    const { bucket, keepFeatures, precision } = options;
    const cache = { precision, keep: keepFeatures ?? 0, bucket };
    return new Trainer(
      config,
      options,
      await backend.compile(micro),
      updater && (await backend.compile(updater)),
      await backend.compile(evaluator),
      features && (await FeatureCache.create(backend, config, cache, features)),
    );
  }

  /** Puts a batch's image features on their way, packs the rest and runs a program on it. */
  private run(
    program: Executable,
    samples: readonly EncodedSample[],
    placements: readonly Placement[],
    weight: number,
    more: Tensors = {},
  ): Promise<Tensors> {
    const own = placements.map((p) => samples[p.sample] as EncodedSample);
    const features = this.features?.place(own);
    const placed = placements.map((p, i) => ({
      ...p,
      sample: own[i]!,
      patchStarts: features?.starts[i] ?? p.patchStarts,
    }));
    const bucket = lossBucket(this.config, this.options);
    const tensors = this.spare.pop() ?? packedTensors(this.config, bucket);
    const inputs = packedInputs(this.config, bucket, placed, weight, tensors);
    const result = program.run({ ...inputs, ...more }).finally(() => this.spare.push(tensors));
    return Promise.all([result, ...(features?.runs ?? [])]).then(([outputs]) => outputs);
  }

  /**
   * One optimiser step; `number` counts from 1, `tick` micro-batches from 0. A loss or gradient that is not finite
   * changes no weight and throws a RunError that names the step and its samples. All work is put on the backend before
   * the first wait, so the next step may be called before this one has ended, to be packed while this one runs.
   */
  async step(
    samples: readonly EncodedSample[],
    micro: readonly Placement[][],
    number: number,
    tick: number,
    lr: number,
  ): Promise<StepResult> {
    const labelTokens = micro.flat().reduce((sum, p) => sum + labelsOf(samples[p.sample] as EncodedSample), 0);
    const { beta1, beta2 } = this.options.update;
    const scalars = {
      lr: Float32Array.of(lr),
      c1: Float32Array.of(1 - beta1 ** number),
      c2: Float32Array.of(1 - beta2 ** number),
    };
    const results = micro.map((placements, i) => {
      const counters = { tick: Int32Array.of(tick + i), keep: Float32Array.of(i === 0 ? 0 : 1) };
      return this.run(this.micro, samples, placements, 1 / labelTokens, { ...scalars, ...counters });
    });
    // All are waited for at once: a rejection that nobody waits for would end the process.
    const [outs, updated] = await Promise.all([Promise.all(results), this.updater?.run(scalars)]);
    const loss = outs.reduce((sum, out) => sum + (out.loss![0] as number), 0);
    const gradNorm = (updated ?? outs[0]!).grad_norm![0] as number;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      const names = micro.flat().map((p) => (samples[p.sample] as EncodedSample).name);
      throw new RunError(
        `step ${number}: the loss is ${loss} and the gradient norm ${gradNorm}; the weights were left as they were. ` +
          `Its samples: ${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}. ` +
          'Try a lower learning rate, or look at these samples.',
      );
    }
    return { loss, gradNorm, labelTokens };
  }

  /** Mean loss over the label tokens of packed batches, without dropout. */
  async loss(samples: readonly EncodedSample[], batches: readonly (readonly Placement[])[]): Promise<number> {
    let sum = 0;
    let tokens = 0;
    for (const placements of batches) {
      sum += (await this.run(this.evaluator, samples, placements, 1)).loss![0] as number;
      tokens += placements.reduce((n, p) => n + labelsOf(samples[p.sample] as EncodedSample), 0);
    }
    return sum / Math.max(1, tokens);
  }

  async dispose(): Promise<void> {
    for (const program of [this.micro, this.updater, this.evaluator, this.features]) await program?.dispose();
  }
}

const labelsOf = (sample: EncodedSample): number => sample.ids.length - sample.labelStart;
