// What a sample looks like, all but its formula.
import type { Random } from '../../shared/random.ts';
import type { Kernel } from './augment/resize.ts';
import { drawHand, type Hand } from './handwritten.ts';
import type { Font } from './typeset.ts';

export type Colour = readonly [number, number, number];

export interface Look {
  readonly hand: Hand | undefined;
  readonly font: Font;
  readonly fontPx: number;
  /** left, top, right, bottom, pixels */
  readonly margins: readonly [number, number, number, number];
  /** by how much each side of a printed stroke is heavier, in thousandths of the em */
  readonly weight: number;
  readonly slant: number;
  /** radians */
  readonly rotation: number;
  /** share by which the right end and the lower edge look smaller than the opposite ones */
  readonly keystone: readonly [number, number];
  /** how many times as large it is drawn at first, before it is resized by the kernel */
  readonly drawnAt: number;
  readonly kernel: Kernel;
  /** sigma and way in pixels */
  readonly blur: number;
  readonly motion: readonly [number, number];
  /** above 1 thin strokes look fainter */
  readonly gamma: number;
  /** grey levels */
  readonly noise: number;
  /** the light changes by this many levels from one side to the other, and as many in places */
  readonly shade: number;
  readonly stains: number;
  /** levels by which the paper is uneven from one fibre to the next */
  readonly grain: number;
  /** share of the ink that is missing in places */
  readonly fade: number;
  /** of JPEG; 0 means it never was one */
  readonly quality: number;
  readonly ink: Colour;
  readonly paper: Colour;
  readonly surroundings: Surroundings;
}

type Side = 'left' | 'top' | 'right' | 'bottom';

/** What a careless crop takes along, none of which is in the label. */
export interface Surroundings {
  /** the equation's number, as LaTeX, and the gap before it in font units */
  readonly number?: { readonly latex: string; readonly gap: number };
  /** words that reach into the margin; `place` from 0 to 1 says where along the side */
  readonly words?: { readonly latex: string; readonly side: Side; readonly place: number };
  /** a ruled line within the margin, so many pixels thick; `place` from 0 to 1 says how far in */
  readonly rule?: { readonly side: Side; readonly place: number; readonly thickness: number };
}

/** Black on white, sharp and straight, for looks to differ from. */
export const PLAIN: Look = {
  hand: undefined,
  font: 'modern',
  fontPx: 20,
  margins: [8, 6, 8, 6],
  ...{ weight: 0, slant: 0, rotation: 0, keystone: [0, 0] },
  ...{ drawnAt: 1, kernel: 'triangle', blur: 0, motion: [0, 0], gamma: 1 },
  ...{ noise: 0, shade: 0, stains: 0, grain: 0, fade: 0, quality: 0 },
  ink: [0, 0, 0],
  paper: [255, 255, 255],
  surroundings: {},
};

/** The sizes in pixels that pictures keep to: a formula that does not fit at the smallest font is not drawn. */
export interface Limits {
  readonly width: readonly [number, number];
  readonly height: readonly [number, number];
  readonly smallestFont: number;
}

/** A value of the range in this share of cases, else 0. */
export function often(random: Random, share: number, low: number, high: number): number {
  return random.float() < share ? random.range(low, high) : 0;
}

/** A hand, its ink and its paper. */
export function penAndPaper(random: Random): Partial<Look> {
  const paper = random.range(228, 255);
  const tint = often(random, 0.4, 2, 12);
  const dark = random.range(0, 85);
  const blue = random.float() < 0.35;
  const level = (value: number): number => Math.round(Math.min(255, Math.max(0, value)));
  return {
    hand: drawHand(random),
    slant: random.range(-0.08, 0.28),
    rotation: random.range(-0.03, 0.03),
    blur: often(random, 0.5, 0.3, 0.7),
    noise: often(random, 0.5, 1, 7),
    shade: often(random, 0.35, 4, 26),
    ink: blue
      ? [level(dark * 0.6), level(dark * 0.8 + 10), level(dark + random.range(60, 120))]
      : [level(dark), level(dark), level(dark)],
    paper: [level(paper), level(paper - tint * 0.3), level(paper - tint)],
  };
}
