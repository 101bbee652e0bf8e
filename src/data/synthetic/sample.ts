// Sample i of the synthetic source: a formula and its picture, a function of the seed, the style set, the level and i
// alone, whatever the number of workers or the order.
import type { Pixels } from '../../formats/png.ts';
import { RunError } from '../../shared/errors.ts';
import { Random } from '../../shared/random.ts';
import { type Level, makeFormula } from './grammar.ts';
import { layouter } from './render.ts';
import { draw, drawStyle, HEIGHTS, MAX_HEIGHT_HARD, type StyleName } from './style.ts';

export interface DrawOptions {
  readonly seed: number;
  readonly style: StyleName;
  readonly level: Level;
}

export interface DrawnSample extends Pixels {
  readonly latex: string;
}

/** A letter of the seed's key for this source, so that other users of the seed draw other bits. */
const STREAM = 0x73796e74;
const ATTEMPTS = 200;

/** Sample `index`: a formula that fits the picture, and the picture. */
export async function drawSample(options: DrawOptions, index: number): Promise<DrawnSample> {
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
