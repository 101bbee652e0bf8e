// Where a run's training samples come from, stretch by stretch: the same samples of a file at each epoch, or a fresh block
// of drawn ones (drawn_samples.ts). A stretch is packed and ordered by (seed, its number) alone, so that a run can resume.
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { misfit, type SampleSize } from '../models/qwen2_vl/packing.ts';
import type { Bucket } from '../models/qwen2_vl/programs.ts';
import { InputError } from '../shared/errors.ts';
import { type Dropped, type Encoded, sizeOfSample } from './dataset.ts';
import { epochSteps, type PlannedStep } from './plan.ts';

export interface Stretch {
  readonly samples: readonly EncodedSample[];
  readonly dropped: readonly Dropped[];
}

export interface SampleSource {
  /** the sizes that the bucket is chosen for */
  readonly sizes: readonly SampleSize[];
  /** From now on stretches hold what fits the bucket; gives the first. */
  fit(bucket: Bucket): Stretch;
  /** Stretch `n`; those that may follow are made ready meanwhile. */
  stretch(n: number): Promise<Stretch>;
  /** samples left out so far */
  readonly dropped: number;
  /** Says at the end what was left out and could not be told before. */
  tell(): void;
  close(): Promise<void>;
}

/** Drops what can never fit, with its reason. */
export function fitting<T extends Stretch>(stretch: T, bucket: Bucket): { kept: number[]; dropped: Dropped[] } {
  const dropped = [...stretch.dropped];
  const kept = stretch.samples.flatMap((sample, i) => {
    const reason = misfit(sizeOfSample(sample), bucket);
    if (reason !== null) dropped.push({ name: sample.name, reason });
    return reason === null ? [i] : [];
  });
  if (kept.length === 0)
    throw new InputError(
      `no sample fits: ${dropped[0]?.name}: ${dropped[0]?.reason}. Raise train.row_tokens or lower image.max_pixels.`,
    );
  return { kept, dropped };
}

/** The samples of a file, all of them at each epoch. */
export class FileSamples implements SampleSource {
  readonly sizes: readonly SampleSize[];
  private fitted: Stretch;

  constructor(encoded: Stretch) {
    this.sizes = encoded.samples.map(sizeOfSample);
    this.fitted = encoded;
  }

  fit(bucket: Bucket): Stretch {
    const { kept, dropped } = fitting(this.fitted, bucket);
    this.fitted = { samples: kept.map((i) => this.fitted.samples[i]!), dropped };
    return this.fitted;
  }

  async stretch(): Promise<Stretch> {
    return this.fitted;
  }

  get dropped(): number {
    return this.fitted.dropped.length;
  }

  tell(): void {}

  async close(): Promise<void> {}
}

/** The labelled samples that fit a bucket. */
export function fittingLabelled(encoded: Encoded, bucket: Bucket): Encoded {
  const { kept, dropped } = fitting(encoded, bucket);
  const pick = <T>(list: readonly T[]): T[] => kept.map((i) => list[i]!);
  return { samples: pick(encoded.samples), labels: pick(encoded.labels), images: pick(encoded.images), dropped };
}

/** A stretch, and a step of it: where a run stands. */
export interface Place {
  readonly stretch: number;
  readonly step: number;
}

export interface FedStep extends PlannedStep {
  readonly samples: readonly EncodedSample[];
  /** where the run stands after it */
  readonly after: Place;
}

/** The steps of a run from a place on, without end. */
export class Feed {
  private samples: readonly EncodedSample[] = [];
  private steps: readonly PlannedStep[] = [];
  private ready: Promise<Stretch>;

  constructor(
    private readonly source: SampleSource,
    private readonly options: { readonly bucket: Bucket; readonly accumulate: number; readonly seed: number },
    private at: Place,
  ) {
    this.ready = source.stretch(at.stretch);
    this.ready.catch(() => {}); // thrown by the step that waits for it
  }

  async next(): Promise<FedStep> {
    const { bucket, accumulate, seed } = this.options;
    while (this.samples.length === 0 || this.at.step >= this.steps.length) {
      if (this.samples.length > 0) {
        this.at = { stretch: this.at.stretch + 1, step: 0 };
        this.ready = this.source.stretch(this.at.stretch);
      }
      this.samples = (await this.ready).samples;
      this.steps = epochSteps(this.samples.map(sizeOfSample), bucket, accumulate, seed, this.at.stretch);
    }
    const step = this.steps[this.at.step]!;
    this.at = { stretch: this.at.stretch, step: this.at.step + 1 };
    return { ...step, samples: this.samples, after: this.at };
  }
}
