// Reads many images: batches of alike lengths through the generator, and a second look at faulty readings. What is blank is
// not shown to the model.
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { bar } from '../shared/log.ts';
import type { Generator } from './generator.ts';
import {
  type Doubt,
  isFaulty,
  lookAgain,
  optionsOf,
  type Reading,
  type ReadOptions,
  readingOf,
} from './second_look.ts';

/** Formulas that an evaluation reads in one batch. */
export const READ_AT_ONCE = 16;

/** What a picture says on which nothing is written; a model would read something into it. */
const NOTHING: Reading = { ids: [], text: '', confidence: 0, stop: 'blank', look: 'first' };

const isBlank = ({ images }: EncodedSample): boolean => images.length > 0 && images.every((image) => image.isBlank);

/**
 * Readings as their batches finish, with the index of each one's prompt: prompts are sorted by length, so that a batch
 * wastes little, and second looks come when all others are done. `onToken` streams first looks.
 */
export async function* readEach(
  generator: Pick<Generator, 'generate'>,
  tokenizer: Pick<Tokenizer, 'decode'>,
  prompts: readonly EncodedSample[],
  options: ReadOptions,
  onToken?: (index: number, token: number) => void,
): AsyncGenerator<{ index: number; reading: Reading }> {
  const { batchSize, secondLook } = options;
  for (const [index, prompt] of prompts.entries()) if (isBlank(prompt)) yield { index, reading: NOTHING };
  const order = Array.from(prompts.keys())
    .filter((i) => !isBlank(prompts[i]!))
    .sort((a, b) => prompts[a]!.ids.length - prompts[b]!.ids.length);
  const doubts: Doubt[] = [];
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    const results = await generator.generate(
      batch.map((i) => prompts[i] as EncodedSample),
      batch.map((i) => optionsOf(options, i)),
      onToken && ((j, token) => onToken(batch[j] as number, token)),
    );
    for (const [j, result] of results.entries()) {
      const read = { index: batch[j] as number, reading: readingOf(result, tokenizer, 'first') };
      const looksAgain = options.own?.[read.index]?.secondLook ?? true;
      if (secondLook && looksAgain && isFaulty(read.reading, secondLook)) doubts.push(read);
      else yield read;
    }
  }
  if (secondLook) yield* lookAgain(generator, tokenizer, prompts, doubts, { ...options, secondLook });
}

/** All readings in the order of their prompts; `title` shows a progress bar. */
export async function readAll(
  generator: Pick<Generator, 'generate'>,
  tokenizer: Pick<Tokenizer, 'decode'>,
  prompts: readonly EncodedSample[],
  options: ReadOptions,
  title?: string,
  onToken?: (index: number, token: number) => void,
): Promise<Reading[]> {
  const out = new Array<Reading>(prompts.length);
  const progress = title === undefined ? null : bar(title, prompts.length);
  let done = 0;
  for await (const { index, reading } of readEach(generator, tokenizer, prompts, options, onToken)) {
    out[index] = reading;
    progress?.update(++done);
  }
  progress?.stop();
  return out;
}
