// Reads many images: batches of alike lengths through the generator, results in the given order.

import type { Tokenizer } from '../formats/tokenizer.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { bar } from '../shared/log.ts';
import type { GenerateOptions, Generation, Generator } from './generator.ts';

export interface Reading extends Generation {
  readonly text: string;
}

/** Prompts are sorted by length so that a batch wastes little; `title` shows a progress bar. */
export async function readAll(
  generator: Generator,
  tokenizer: Tokenizer,
  prompts: readonly EncodedSample[],
  options: GenerateOptions,
  batchSize = 16,
  title?: string,
): Promise<Reading[]> {
  const order = Array.from(prompts.keys()).sort((a, b) => prompts[a]!.ids.length - prompts[b]!.ids.length);
  const out = new Array<Reading>(prompts.length);
  const progress = title === undefined ? null : bar(title, prompts.length);
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    const results = await generator.generate(
      batch.map((i) => prompts[i] as EncodedSample),
      options,
    );
    for (const [j, result] of results.entries())
      out[batch[j] as number] = { ...result, text: tokenizer.decode(result.ids) };
    progress?.update(Math.min(prompts.length, start + batchSize));
  }
  progress?.stop();
  return out;
}
