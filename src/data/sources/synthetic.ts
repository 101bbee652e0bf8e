// The synthetic source: sample i is a function of (seed, i) alone, whatever the number of workers.
import { Random } from '../../shared/random.ts';
import { type Level, randomFormula } from '../synthetic/grammar.ts';
import { renderFormula } from '../synthetic/render.ts';
import { randomStyle, type StyleName } from '../synthetic/style.ts';

export interface SyntheticOptions {
  readonly seed: number;
  readonly level: Level;
  readonly style: StyleName;
}

export interface RenderedSample {
  readonly latex: string;
  readonly png: Buffer;
}

export async function makeSample({ seed, level, style }: SyntheticOptions, index: number): Promise<RenderedSample> {
  const latex = randomFormula(seed, index, level);
  const random = Random.from(seed, index, 2);
  return { latex, png: await renderFormula(latex, randomStyle(style, random), random) };
}
