// How one synthetic image looks: size, weight, ink and paper, blur, skew, noise, and how far glyphs stray from print.
import type { Random } from '../../shared/random.ts';

export const STYLES = ['printed', 'handwritten', 'mixed'] as const;
export type StyleName = (typeof STYLES)[number];

export interface Style {
  /** pixels an em */
  readonly size: number;
  /** extra stroke around the outlines, in thousandths of an em */
  readonly stroke: number;
  readonly ink: string;
  readonly paper: string;
  readonly margin: number;
  /** Gaussian sigma in pixels; 0 for none */
  readonly blur: number;
  /** degrees */
  readonly rotation: number;
  readonly slant: number;
  /** standard deviation of pixel noise, of 255 */
  readonly noise: number;
  /** 0 for print; 1 for a lively hand */
  readonly hand: number;
}

const grey = (level: number): string => `rgb(${level},${level},${level})`;

export function randomStyle(name: StyleName, random: Random): Style {
  const handwritten = name === 'handwritten' || (name === 'mixed' && random.float() < 0.5);
  const size = random.range(16, 24);
  const margin = random.range(3, 10);
  if (handwritten)
    return {
      size,
      margin,
      stroke: random.range(0, 45),
      ink: `rgb(${random.int(70)},${random.int(70)},${random.int(120)})`,
      paper: grey(235 + random.int(21)),
      blur: random.range(0, 0.6),
      rotation: random.range(-2, 2),
      slant: random.range(-18, 6),
      noise: random.range(0, 6),
      hand: random.range(0.6, 1),
    };
  return {
    size,
    margin,
    stroke: random.float() < 0.5 ? 0 : random.range(0, 25),
    ink: grey(random.int(60)),
    paper: grey(random.float() < 0.6 ? 255 : 225 + random.int(31)),
    blur: random.float() < 0.6 ? 0 : random.range(0.3, 0.7),
    rotation: 0,
    slant: 0,
    noise: random.float() < 0.6 ? 0 : random.range(0, 5),
    hand: 0,
  };
}
