// Labelled images to encoded samples; what cannot be used is refused by name, never cut.
import type { Conversation } from '../data/conversation.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import type { SampleSize } from '../models/qwen2_vl/packing.ts';
import type { Processor, ResizedImage } from '../models/qwen2_vl/processor.ts';
import type { Instruction } from '../models/qwen2_vl/trained_settings.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { bar } from '../shared/log.ts';
import { PackedImage, packImage } from './packed_image.ts';
import type { SampleCache } from './sample_cache.ts';

export const DEFAULT_PROMPT = 'Convert the formula to LaTeX.';

const AT_ONCE = 32;

export interface Dropped {
  readonly name: string;
  readonly reason: string;
}

export interface Encoded {
  readonly samples: EncodedSample[];
  /** the labels of the samples, in the same order */
  readonly labels: string[];
  /** their image files */
  readonly images: (readonly string[])[];
  readonly dropped: Dropped[];
}

/**
 * Decodes, resizes and tokenises every row; unreadable ones are dropped with their reason, and none left is an error.
 * Pixels are held packed; with a cache they are on disk, and all this is done once for each row, whatever the runs.
 */
export async function encodeRows(
  rows: readonly Conversation[],
  processor: Processor,
  { prompt, replaces }: Instruction,
  title: string,
  cache: SampleCache | null = null,
): Promise<Encoded> {
  const samples: EncodedSample[] = [];
  const labels: string[] = [];
  const files: (readonly string[])[] = [];
  const dropped: Dropped[] = [];
  const source = cache ?? processor;
  const imageOf = async (path: string): Promise<ResizedImage> =>
    cache ? cache.image(path) : new PackedImage(packImage(await processor.image(path)));
  const progress = bar(title, rows.length);
  // Decoding runs on other threads, so several images are under way at once.
  for (let start = 0; start < rows.length; start += AT_ONCE) {
    const part = rows.slice(start, start + AT_ONCE);
    const decoded: (ResizedImage[] | Error)[] = await Promise.all(
      part.map((row) => Promise.all(row.images.map(imageOf)).catch((error: Error) => error)),
    );
    for (const [i, row] of part.entries()) {
      const name = row.images.join(', ');
      try {
        const images = decoded[i] as ResizedImage[] | Error;
        if (images instanceof Error) throw images;
        const own = replaces ? prompt : (row.prompt ?? prompt);
        const grids = images.map((image) => image.grid);
        samples.push({ name, images, ...source.sample(grids, own, row.text, { name }) });
        labels.push(row.text);
        files.push(row.images);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        const message = messageOf(error);
        const prefix = `${name}: `;
        const reason = message.startsWith(prefix) ? message.slice(prefix.length) : message;
        dropped.push({ name, reason });
      }
    }
    progress.update(Math.min(rows.length, start + AT_ONCE));
  }
  progress.stop();
  cache?.tell();
  if (samples.length === 0) {
    const first = dropped[0];
    throw new InputError(
      `none of ${rows.length} samples can be used; ${first ? `the first: ${first.name}: ${first.reason}` : 'the list is empty'}`,
    );
  }
  return { samples, labels, images: files, dropped };
}

export const sizeOfSample = (sample: EncodedSample): SampleSize => ({
  tokens: sample.ids.length,
  labels: sample.ids.length - sample.labelStart,
  images: sample.images.map(({ grid: [t, h, w] }) => t * h * w),
});

/** The prompt of a sample alone, for generation. */
export const promptOf = (sample: EncodedSample): EncodedSample => ({
  ...sample,
  ids: sample.ids.slice(0, sample.labelStart),
});
