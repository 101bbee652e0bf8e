// A second look at faulty readings: each is sampled several times more, and of all its readings the most confident one is
// taken that is in order, or can be mended. What was read well at first costs nothing.
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import type { GenerateOptions, Generation, Generator } from './generator.ts';

export interface SecondLook {
  /** further readings of a faulty one; 0 only mends the first */
  readonly samples: number;
  /** a text that is in order as it is, another one mended, or null where it cannot be */
  mend(text: string): string | null;
}

/** What one image has otherwise than those that it is read with. */
export interface OwnOptions extends Partial<GenerateOptions> {
  /** false for none, where others have one */
  readonly secondLook?: boolean;
}

/** How images are read. */
export interface ReadOptions extends GenerateOptions {
  /** sequences at once */
  readonly batchSize: number;
  readonly secondLook?: SecondLook;
  /** by the index of an image */
  readonly own?: readonly OwnOptions[];
}

/** How the image of an index is read. */
export const optionsOf = (options: ReadOptions, index: number): GenerateOptions => ({
  ...options,
  ...options.own?.[index],
});

/** Where a text is from; `mended` is the first one changed. */
export type Look = 'first' | 'mended' | 'second';

export interface Reading extends Generation {
  readonly text: string;
  readonly look: Look;
}

/** A reading to look at again, and the index of its prompt. */
export interface Doubt {
  readonly index: number;
  readonly reading: Reading;
}

export const readingOf = (result: Generation, tokenizer: Pick<Tokenizer, 'decode'>, look: Look): Reading => ({
  ...result,
  text: tokenizer.decode(result.ids),
  look,
});

export const isFaulty = ({ text, stop }: Reading, { mend }: SecondLook): boolean =>
  stop === 'repetition' || mend(text) !== text;

/** Samples have to differ from the greedy reading; docs/log.md compares 0.5 and 0.8. */
const TEMPERATURE = 0.8;

/** The best reading of each doubt, as its batch of at most `batchSize` sequences (or one doubt's) finishes. */
export async function* lookAgain(
  generator: Pick<Generator, 'generate'>,
  tokenizer: Pick<Tokenizer, 'decode'>,
  prompts: readonly EncodedSample[],
  doubts: readonly Doubt[],
  options: ReadOptions & { readonly secondLook: SecondLook },
): AsyncGenerator<Doubt> {
  const { samples, mend } = options.secondLook;
  // The seed is another one, or what was sampled at first would come again.
  const samplingOf = ({ index }: Doubt): GenerateOptions => {
    const own = optionsOf(options, index);
    return { ...own, temperature: own.temperature || TEMPERATURE, seed: own.seed + 1 };
  };
  const atOnce = Math.max(1, Math.floor(options.batchSize / Math.max(1, samples)));
  for (let start = 0; start < doubts.length; start += atOnce) {
    const group = doubts.slice(start, start + atOnce);
    const copies = group.flatMap((doubt) => new Array<Doubt>(samples).fill(doubt));
    const results = await generator.generate(
      copies.map(({ index }) => prompts[index]!),
      copies.map(samplingOf),
    );
    for (const [i, { index, reading: first }] of group.entries()) {
      const others = results
        .slice(i * samples, (i + 1) * samples)
        .map((result) => readingOf(result, tokenizer, 'second'));
      const [best = first] = [first, ...others]
        .flatMap((reading) => whole(reading, mend(reading.text)))
        .sort((a, b) => rank(b) - rank(a));
      yield { index, reading: best };
    }
  }
}

/** The reading with its text mended, where it could be. */
function whole(reading: Reading, text: string | null): Reading[] {
  if (text === null) return [];
  return [{ ...reading, text, look: reading.look === 'first' && text !== reading.text ? 'mended' : reading.look }];
}

/** By confidence, but loops and what was cut off last, for a loop is sure of itself. */
const rank = ({ stop, confidence }: Reading): number => confidence + (stop === 'stop_token' ? 1 : 0);
