// Random formulas in the canonical spelling that scores compare (src/eval/canonical.ts): tokens apart, every script and
// argument braced, `_` before `^`, functions as \operatorname. One spelling per visual form: no two
// outputs render to the same picture.
import { RunError } from '../../shared/errors.ts';
import { Random } from '../../shared/random.ts';
import { braced, flat, join, named, type Piece } from './piece.ts';
import { FUNCTION_NAMES, SINGLE_SYMBOLS } from './vocabulary.ts';
import { Writer } from './writer.ts';

export const LEVELS = ['tiny', 'sums', 'easy', 'medium', 'hard'] as const;
export type Level = (typeof LEVELS)[number];

/** Tokens, least and most, of a formula of each level. */
export const TOKEN_RANGE: Readonly<Record<Level, readonly [number, number]>> = {
  tiny: [1, 20],
  sums: [5, 18],
  easy: [4, 20],
  medium: [12, 48],
  hard: [30, 90],
};

/** A formula of the level, a function of the generator's state alone. */
export function makeFormula(random: Random, level: Level): string {
  const [least, most] = TOKEN_RANGE[level];
  for (let attempt = 0; attempt < 1000; attempt++) {
    const { tokens } = pieceOf(random, level);
    if (tokens.length >= least && tokens.length <= most) return tokens.join(' ');
  }
  throw new RunError(`synthetic grammar: no formula of ${least} to ${most} tokens in 1000 tries; try another --seed.`);
}

/** Formula `index` of the seed, for uses that need no picture. */
export function randomFormula(seed: number, index: number, level: Level): string {
  return makeFormula(Random.from(seed, index), level);
}

/** The tokens of a canonical formula. */
export function tokensOf(latex: string): string[] {
  return latex.split(' ').filter((token) => token !== '');
}

function pieceOf(random: Random, level: Level): Piece {
  if (level === 'tiny') return scattered(random);
  return level === 'sums' ? new Writer(random, 'easy').sums() : new Writer(random, level).formula();
}

/** One to three pieces of random symbols: nothing but the picture says which, so a new model has to look at it. */
function scattered(random: Random): Piece {
  const symbol = (scripted = false): Piece => {
    const picked = random.pick(SINGLE_SYMBOLS);
    return FUNCTION_NAMES.has(picked) ? named(picked, scripted) : flat(picked);
  };
  const argument = (): Piece => braced(random.float() < 0.6 ? symbol() : join(symbol(), symbol()));
  const piece = (): Piece => {
    switch (random.int(10)) {
      case 0:
        return join(symbol(true), flat('_'), argument());
      case 1:
        return join(symbol(true), flat('^'), argument());
      case 2:
        return join(flat('\\frac'), argument(), argument());
      case 3:
        return join(flat('\\sqrt'), argument());
      default:
        return symbol();
    }
  };
  return join(...Array.from({ length: 1 + random.int(3) }, piece));
}
