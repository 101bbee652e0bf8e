// Labelled images to encoded samples; what cannot be used is refused by name, never cut.
import type { LabelledImage } from '../data/conversation.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import type { Processor, ResizedImage } from '../models/qwen2_vl/processor.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { bar } from '../shared/log.ts';
import type { SampleSize } from './packing.ts';

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
  readonly dropped: Dropped[];
}

/** Decodes, resizes and tokenises every row; unreadable ones are dropped with their reason, and none left is an error. */
export async function encodeRows(
  rows: readonly LabelledImage[],
  processor: Processor,
  prompt: string,
  title: string,
): Promise<Encoded> {
  const samples: EncodedSample[] = [];
  const labels: string[] = [];
  const dropped: Dropped[] = [];
  const progress = bar(title, rows.length);
  // Decoding runs on other threads, so several images are under way at once.
  for (let start = 0; start < rows.length; start += AT_ONCE) {
    const part = rows.slice(start, start + AT_ONCE);
    const images = await Promise.all(part.map((row) => processor.image(row.image).catch((error: unknown) => error)));
    for (const [i, row] of part.entries()) {
      try {
        const image = images[i];
        if (image instanceof Error) throw image;
        const { grid } = image as ResizedImage;
        samples.push({
          name: row.image,
          images: [image as ResizedImage],
          ...processor.sample([grid], prompt, row.text, { name: row.image }),
        });
        labels.push(row.text);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        const message = messageOf(error);
        const prefix = `${row.image}: `;
        const reason = message.startsWith(prefix) ? message.slice(prefix.length) : message;
        dropped.push({ name: row.image, reason });
      }
    }
    progress.update(Math.min(rows.length, start + AT_ONCE));
  }
  progress.stop();
  if (samples.length === 0) {
    const first = dropped[0];
    throw new InputError(
      `none of ${rows.length} samples can be used; ${first ? `the first: ${first.name}: ${first.reason}` : 'the list is empty'}`,
    );
  }
  return { samples, labels, dropped };
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
