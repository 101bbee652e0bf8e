// Reads many images: batches of alike lengths through the generator.

import type { Tokenizer } from '../formats/tokenizer.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { bar } from '../shared/log.ts';
import type { GenerateOptions, Generation, Generator } from './generator.ts';

export interface Reading extends Generation {
  readonly text: string;
}

/**
 * Readings as their batches finish, with the index of each one's prompt: prompts are sorted by length, so that a batch
 * wastes little.
 */
export async function* readEach(
  generator: Generator,
  tokenizer: Tokenizer,
  prompts: readonly EncodedSample[],
  options: GenerateOptions,
  batchSize: number,
): AsyncGenerator<{ index: number; reading: Reading }> {
  const order = Array.from(prompts.keys()).sort((a, b) => prompts[a]!.ids.length - prompts[b]!.ids.length);
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    const results = await generator.generate(
      batch.map((i) => prompts[i] as EncodedSample),
      options,
    );
    for (const [j, result] of results.entries())
      yield { index: batch[j] as number, reading: { ...result, text: tokenizer.decode(result.ids) } };
  }
}

/** All readings in the order of their prompts; `title` shows a progress bar. */
export async function readAll(
  generator: Generator,
  tokenizer: Tokenizer,
  prompts: readonly EncodedSample[],
  options: GenerateOptions,
  batchSize = 16,
  title?: string,
): Promise<Reading[]> {
  const out = new Array<Reading>(prompts.length);
  const progress = title === undefined ? null : bar(title, prompts.length);
  let done = 0;
  for await (const { index, reading } of readEach(generator, tokenizer, prompts, options, batchSize)) {
    out[index] = reading;
    progress?.update(++done);
  }
  progress?.stop();
  return out;
}
