// Image features of frozen towers, in a state on the device: made once and kept across epochs while they fit, else made
// anew for each micro-batch.
import type { Backend, Executable } from '../backends/contract.ts';
import { Graph } from '../graph/graph.ts';
import type { Precision } from '../graph/types.ts';
import { type EncodedSample, type PlacedImage, patchInputs } from '../models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { type SampleSize, VisionRows } from '../models/qwen2_vl/packing.ts';
import { type Bucket, FEATURES, fillFeatures } from '../models/qwen2_vl/programs.ts';
import { Scope } from '../nn/scope.ts';
import { sizeOfSample } from './dataset.ts';

export interface FeatureCacheOptions {
  readonly precision: Precision;
  /** rows of features that are kept; samples beyond them are made anew each time */
  readonly keep: number;
  /** patches of one run of the tower, as in the training bucket */
  readonly bucket: Pick<Bucket, 'patches' | 'patchRow'>;
}

export class FeatureCache {
  private readonly kept = new Map<EncodedSample, readonly number[]>();
  private used = 0;

  private constructor(
    private readonly config: Qwen2VLConfig,
    private readonly options: FeatureCacheOptions,
    private readonly program: Executable,
  ) {}

  /** Rows of the state: those that are kept, those of one micro-batch however its images fall into runs, and what the
   * padding of a run overwrites. */
  static rows(config: Qwen2VLConfig, { keep, bucket }: Pick<FeatureCacheOptions, 'keep' | 'bucket'>): number {
    return keep + (3 * bucket.patches) / config.vision.mergeSize ** 2;
  }

  /** The program that fills it. */
  static trace(backend: Pick<Backend, 'decomposed'>, config: Qwen2VLConfig, options: FeatureCacheOptions): Graph {
    const { precision, bucket } = options;
    const scope = new Scope(new Graph(backend.decomposed), { precision });
    const whole: Bucket = { ...bucket, tokens: 0, row: 0, labels: 0 };
    return fillFeatures(scope, config, whole, FeatureCache.rows(config, options));
  }

  static async create(
    backend: Backend,
    config: Qwen2VLConfig,
    options: FeatureCacheOptions,
    program: Graph,
  ): Promise<FeatureCache> {
    const { type } = program.states.get(FEATURES)!;
    backend.clearState(FEATURES, type);
    return new FeatureCache(config, options, await backend.compile(program));
  }

  /**
   * Sees to it that the features of every sample lie in the state by the time that programs run after this call.
   * @returns for each sample where those of its images begin, in rows · merge²; and the runs that are under way
   */
  place(samples: readonly EncodedSample[]): { starts: (readonly number[])[]; runs: Promise<unknown>[] } {
    const starts = new Map<EncodedSample, readonly number[]>();
    const wanted = samples.filter((sample) => !this.kept.has(sample) && sample.images.length > 0);
    const area = this.config.vision.mergeSize ** 2;
    let passing = this.options.keep;
    let rows = new VisionRows(this.options.bucket);
    let placed: PlacedImage[] = [];
    let made: [EncodedSample, number[]][] = [];
    const runs: Promise<unknown>[] = [];
    const flush = (): void => {
      if (placed.length === 0) return;
      const count = Math.ceil(rows.end / area);
      // After a run that passes none is kept: its padding would lie over what that one made.
      const keeps = passing === this.options.keep && this.used + count <= this.options.keep;
      const base = keeps ? this.used : passing;
      if (keeps) this.used += count;
      else passing += count;
      const inputs = patchInputs(this.config, this.options.bucket, placed);
      runs.push(this.program.run({ ...inputs, start: Int32Array.of(base) }));
      for (const [sample, at] of made) {
        const own = at.map((patch) => patch + base * area);
        starts.set(sample, own);
        if (keeps) this.kept.set(sample, own);
      }
      placed = [];
      made = [];
      rows = new VisionRows(this.options.bucket);
    };
    for (const sample of new Set(wanted)) {
      const { images } = sizeOfSample(sample);
      let at = rows.add(images);
      if (!at) {
        flush();
        at = rows.add(images);
      }
      if (!at) throw new Error(`${sample.name}: its images do not fit an empty batch`);
      for (const [i, image] of sample.images.entries()) placed.push({ image, start: at[i]! });
      made.push([sample, at]);
    }
    flush();
    return { starts: samples.map((sample) => this.kept.get(sample) ?? starts.get(sample) ?? []), runs };
  }

  dispose(): Promise<void> {
    return this.program.dispose();
  }
}

const GIB = 2 ** 30;
/** GiB of image features that a card keeps; the CPU makes them in the step, whose sums then never change their order. */
const KEPT_GIB = { bf16: 4, f32: 0 } as const;

/**
 * Rows of image features to keep, at most those of all samples; null where the towers run within the step.
 * @param gib the most to keep, or what the precision's usual device has for it
 */
export function keptFeatures(
  gib: number | undefined,
  { text, vision }: Qwen2VLConfig,
  precision: Precision,
  sizes: readonly SampleSize[],
): number | null {
  const most = gib ?? KEPT_GIB[precision];
  if (most === 0 && precision === 'f32') return null;
  const patches = sizes.reduce((sum, { images }) => images.reduce((all, n) => all + n, sum), 0);
  // Images do not fill their vision rows quite.
  const ROOM = 1.25;
  const all = Math.ceil((ROOM * patches) / vision.mergeSize ** 2);
  return Math.min(all, Math.floor((most * GIB) / (text.hiddenSize * (precision === 'bf16' ? 2 : 4))));
}
