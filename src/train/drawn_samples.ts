// Training samples that are drawn while the run goes on, in blocks: worker threads draw, size and tokenise the blocks that
// come while one trains. Sample i is a function of the options and i alone, whatever the number of threads.
import { availableParallelism } from 'node:os';
import { formulaOf, lookOf } from '../data/synthetic/formula_lists.ts';
import type { DrawOptions } from '../data/synthetic/sample.ts';
import { openThreads, type Threads } from '../data/threads.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import type { SampleSize } from '../models/qwen2_vl/packing.ts';
import type { ImageSizing, Processor, Tidying } from '../models/qwen2_vl/processor.ts';
import type { Bucket } from '../models/qwen2_vl/programs.ts';
import { messageOf, RunError } from '../shared/errors.ts';
import { bar, say } from '../shared/log.ts';
import { type Dropped, sizeOfSample } from './dataset.ts';
import type { DrawnShare, DrawTask } from './draw_worker.ts';
import { fitting, type SampleSource, type Stretch } from './samples.ts';

export interface DrawnOptions {
  readonly draw: DrawOptions;
  readonly prompt: string;
  /** samples of a block */
  readonly block: number;
  /** times that a block is trained before the next one; 1 unless given */
  readonly passes?: number;
  /** threads that draw; one a core but for the one that trains unless given */
  readonly workers?: number;
}

interface Block extends Stretch {
  /** lines of the lists that cannot be drawn */
  readonly skipped: number;
}

interface DrawnModel {
  readonly folder: string;
  readonly sizing: ImageSizing;
  readonly tidying?: Tidying;
  readonly patchSize: number;
}

/** Samples of one task. */
const SHARE = 32;
/** Blocks under way beside the one that trains, so that no thread waits for a block's last share. */
const AHEAD = 2;
/** How much longer later samples may be than those of the first block. */
const ROOM = 1.25;

export class DrawnSamples implements SampleSource {
  readonly sizes: readonly SampleSize[];
  private readonly drops = new Map<string, number>();
  dropped = 0;
  private bucket: Bucket | null = null;
  private skipped = 0;
  private readonly blocks = new Map<number, Promise<Block>>();

  private constructor(
    private readonly options: DrawnOptions,
    private readonly model: DrawnModel,
    private readonly threads: readonly Threads<DrawTask, DrawnShare>[],
    private readonly first: Block,
  ) {
    const own = first.samples.map(sizeOfSample);
    this.sizes = [...own, largest(own, model)];
  }

  /** Starts the threads and draws the first block. */
  static async open(folder: string, processor: Processor, options: DrawnOptions): Promise<DrawnSamples> {
    const workers = options.workers ?? Math.max(1, availableParallelism() - 1);
    // A thread each, so that samples of one formula can go to the same one, which has typeset it already.
    const threads = await Promise.all(
      Array.from({ length: workers }, () =>
        openThreads<DrawTask, DrawnShare>(import.meta.url, 'draw_worker', 1, () => import('./draw_worker.ts')),
      ),
    );
    const { sizing, tidying, config } = processor;
    const model = { folder, sizing, tidying, patchSize: config.vision.patchSize };
    try {
      const progress = bar(`drawing, threads: ${workers},`, options.block);
      const first = await drawBlock(0, options, model, threads, (done) => progress.update(done));
      progress.stop();
      return new DrawnSamples(options, model, threads, first);
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.close()));
      throw error;
    }
  }

  fit(bucket: Bucket): Stretch {
    this.bucket = bucket;
    return this.fitted(this.first);
  }

  private fitted(stretch: Stretch): Stretch {
    if (!this.bucket) throw new Error('blocks are asked for before a bucket is chosen');
    const { kept, dropped } = fitting(stretch, this.bucket);
    return { samples: kept.map((i) => stretch.samples[i]!), dropped };
  }

  /** Stretch `n` is a pass over a block; each packs and orders it anew. */
  async stretch(n: number): Promise<Stretch> {
    const { passes = 1 } = this.options;
    const own = Math.floor(n / passes);
    for (const earlier of this.blocks.keys()) if (earlier < own) this.blocks.delete(earlier);
    for (let block = own; block <= own + AHEAD; block++) {
      if (this.blocks.has(block)) continue;
      const drawn =
        block === 0 ? Promise.resolve(this.first) : drawBlock(block, this.options, this.model, this.threads);
      drawn.catch(() => {}); // thrown by the step that waits for it
      this.blocks.set(block, drawn);
    }
    const block = await this.blocks.get(own)!;
    const fitted = this.fitted(block);
    if (n % passes === 0) this.count(block, fitted);
    return fitted;
  }

  private count({ skipped }: Block, { dropped }: Stretch): void {
    this.skipped += skipped;
    this.dropped += dropped.length;
    for (const { reason } of dropped) {
      const kind = reason.replace(/\d+/, 'N'); // the limit that follows is the same for all
      this.drops.set(kind, (this.drops.get(kind) ?? 0) + 1);
    }
  }

  tell(): void {
    if (this.skipped > 0)
      say(`skipped ${this.skipped} lines of the lists that cannot be drawn, for the ones after them`);
    for (const [kind, count] of this.drops) say(`dropped ${count} drawn samples: ${kind}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()));
  }
}

/** Room for what the first block does not show: no image is larger than the sizing allows. */
function largest(sizes: readonly SampleSize[], { sizing, patchSize }: DrawnModel): SampleSize {
  const most = (of: (size: SampleSize) => number) =>
    Math.ceil(ROOM * sizes.reduce((m, size) => Math.max(m, of(size)), 0));
  const patches = most(({ images }) => images[0]!);
  const bound = 'maxPixels' in sizing ? Math.floor(sizing.maxPixels / patchSize ** 2) : patches;
  return {
    tokens: most(({ tokens }) => tokens),
    labels: most(({ labels }) => labels),
    images: [Math.min(patches, bound)],
  };
}

/** Block `n` in the order of its indices. */
async function drawBlock(
  n: number,
  { draw, prompt, block }: DrawnOptions,
  { folder, sizing, tidying }: DrawnModel,
  threads: readonly Threads<DrawTask, DrawnShare>[],
  told: (done: number) => void = () => {},
): Promise<Block> {
  const lanes = threads.map((): number[] => []);
  for (let index = n * block; index < (n + 1) * block; index++) {
    const { formula } = lookOf(draw, index);
    lanes[(formulaOf(draw, formula) ?? formula) % lanes.length]!.push(index);
  }
  const made = new Array<EncodedSample | Dropped>(block);
  let [done, skipped] = [0, 0];
  const shares = lanes.flatMap((lane, i) =>
    Array.from({ length: Math.ceil(lane.length / SHARE) }, async (_, k) => {
      const indices = lane.slice(k * SHARE, (k + 1) * SHARE);
      const share = await threads[i]!.run({ draw, indices, model: folder, sizing, tidying, prompt });
      for (const [j, sample] of unpacked(share, indices).entries()) made[indices[j]! - n * block] = sample;
      done += indices.length;
      skipped += share.skipped;
      told(done);
    }),
  );
  try {
    await Promise.all(shares);
  } catch (error) {
    throw new RunError(`drawing block ${n} of training samples: ${messageOf(error)}`);
  }
  return {
    samples: made.filter((one): one is EncodedSample => !('reason' in one)),
    dropped: made.filter((one): one is Dropped => 'reason' in one),
    skipped,
  };
}

function unpacked({ samples, ids, pixels }: DrawnShare, indices: readonly number[]): (EncodedSample | Dropped)[] {
  let [id, pixel] = [0, 0];
  return samples.map((one, i) => {
    const name = `drawn sample ${indices[i]}`;
    if ('dropped' in one) return { name, reason: one.dropped };
    const image = { grid: one.grid, pixels: pixels.subarray(pixel, pixel + one.bytes) };
    const sample = { name, ids: ids.subarray(id, id + one.tokens), labelStart: one.labelStart, images: [image] };
    id += one.tokens;
    pixel += one.bytes;
    return sample;
  });
}
