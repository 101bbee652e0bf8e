// Source `synthetic`: formulas from a seeded grammar, set and drawn in process. Sample i is a function of the seed, the
// style set, the level and i alone, whatever the number of workers or the order.
import { InputError, RunError } from '../../shared/errors.ts';
import { Random } from '../../shared/random.ts';
import type { Item, Source, SourceOptions } from '../source.ts';
import { type Level, makeFormula } from '../synthetic/grammar.ts';
import { layouter } from '../synthetic/render.ts';
import { draw, drawStyle, HEIGHTS, MAX_HEIGHT_HARD, type StyleName } from '../synthetic/style.ts';

export interface SyntheticOptions {
  readonly seed: number;
  readonly style: StyleName;
  readonly level: Level;
}

export interface Sample {
  readonly latex: string;
  readonly png: Buffer;
  readonly width: number;
  readonly height: number;
}

/** A letter of the seed's key for this source, so that other users of the seed draw other bits. */
const STREAM = 0x73796e74;
const ATTEMPTS = 200;

/** Sample `index`: a formula that fits the picture, and the picture. */
export async function makeSample(options: SyntheticOptions, index: number): Promise<Sample> {
  const { layout } = await layouter();
  const maxHeight = options.level === 'hard' ? MAX_HEIGHT_HARD : HEIGHTS[1];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const random = Random.from(STREAM, options.seed, index, attempt);
    const latex = makeFormula(random, options.level);
    const style = drawStyle(random, options.style);
    // Half of the hands write plain letters, without the feet and hooks of a printed italic.
    const plain = style.hand !== undefined && random.float() < 0.5;
    const picture = draw(await layout(plain ? `\\mathsf { ${latex} }` : latex), style, maxHeight, random);
    if (picture !== undefined) return { latex, ...picture };
  }
  throw new RunError(
    `synthetic sample ${index}: no formula fits the picture in ${ATTEMPTS} tries; try another --seed.`,
  );
}

export async function open(
  _path: string,
  { count = 1000, seed = 0, level = 'easy', style = 'printed' }: SourceOptions,
): Promise<Source> {
  if (count < 1) throw new InputError(`--count ${count}: expected at least 1 sample.`);
  const draw = { seed, level, style };
  return {
    options: { count, ...draw },
    files: [],
    total: count,
    *rows(from): Iterable<Item> {
      for (let index = from; index < count; index++) yield { draw, index };
    },
  };
}
