// Labelled images to encoded samples; what cannot be used is refused by name, never cut.
import type { LabelledImage } from '../data/conversation.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import type { Processor } from '../models/qwen2_vl/processor.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { bar } from '../shared/log.ts';
import type { SampleSize } from './packing.ts';

export const DEFAULT_PROMPT = 'Convert the formula to LaTeX.';

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
  for (const [i, row] of rows.entries()) {
    try {
      const image = await processor.image(row.image);
      samples.push({ name: row.image, images: [image], ...processor.sample([image.grid], prompt, row.text) });
      labels.push(row.text);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      dropped.push({ name: row.image, reason: messageOf(error) });
    }
    progress.update(i + 1);
  }
  progress.stop();
  if (samples.length === 0)
    throw new InputError(
      `none of ${rows.length} samples can be used; the first: ${dropped[0]?.reason ?? 'the list is empty'}`,
    );
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
