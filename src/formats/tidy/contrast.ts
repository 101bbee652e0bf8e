// How light the paper and how dark the ink of a grey picture is, and faint ink made dark.
import { components } from './components.ts';
import type { Grey } from './grey.ts';
import { median } from './opaque.ts';

export interface Levels {
  readonly paper: number;
  readonly ink: number;
}

/** With less between ink and paper nothing is written, for noise reaches that far. */
const BLANK = 24;
/** Ink is faint, and paper dark, beyond these. */
const FAINT = 128;
const LIGHT_PAPER = 225;
/** What faint ink becomes. */
const DARK_INK = 30;

/** A line alone on a page is less than a thousandth of it: parts so much darker than the paper and so large are no noise. */
const STARK = 64;
const LEAST_AREA = 8;

/** Paper is the median; ink the mean of what is nearer to the darkest thousandth. Null where there is no ink. */
export function levelsOf(picture: Grey): Levels | null {
  const { data } = picture;
  const counts = new Uint32Array(256);
  for (let i = 0; i < data.length; i++) counts[data[i]!]!++;
  const paper = median(counts, data.length);
  let darkest = 0;
  for (let below = counts[0]!; below < data.length / 1000 && darkest < paper; ) below += counts[++darkest]!;
  if (paper - darkest >= BLANK) return { paper, ink: meanUpTo((paper + darkest) / 2, counts)! };
  const ink = meanUpTo(paper - STARK - 1, counts);
  const isWritten = ink !== null && components(picture, paper - STARK).some(({ area }) => area >= LEAST_AREA);
  return isWritten ? { paper, ink } : null;
}

/** The mean of the pixels that are no lighter, or null where there are none. */
function meanUpTo(limit: number, counts: Uint32Array): number | null {
  let [sum, count] = [0, 0];
  for (let level = 0; level <= limit; level++) {
    sum += level * counts[level]!;
    count += counts[level]!;
  }
  return count === 0 ? null : sum / count;
}

/** Paper to white and ink to dark where they are not near that; anything else is returned as it is. */
export function stretch(picture: Grey, { paper, ink }: Levels): Grey {
  if (paper - ink >= FAINT && paper >= LIGHT_PAPER) return picture;
  const gain = (255 - DARK_INK) / (paper - ink);
  const table = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v++) table[v] = Math.floor(255 - (paper - v) * gain + 0.5);
  const data = new Uint8Array(picture.data.length);
  for (let at = 0; at < data.length; at++) data[at] = table[picture.data[at]!]!;
  return { ...picture, data };
}

/** What is darker is ink: thin lines are paler than thick ones, so nearer to the paper. */
export const inkLimit = ({ paper, ink }: Levels): number => paper - 0.35 * (paper - ink);
