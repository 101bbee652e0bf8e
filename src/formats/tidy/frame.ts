// The writing cut out with a margin of its own size and brought to the wished em, in one resampling.
import { resizePixels } from '../image.ts';
import type { Pixels } from '../png.ts';
import type { Levels } from './contrast.ts';
import type { Grey } from './grey.ts';
import type { Box, Writing } from './text_size.ts';

export interface FrameOptions {
  /** pixels that the writing's em becomes, where the model's limits leave room */
  readonly em: number;
  /** the sides that a model makes of these */
  readonly sides: (height: number, width: number) => readonly [height: number, width: number];
}

/** Margins in em: those between the least and the most are left as they are, others become the usual one. */
const MARGIN = { least: 0.15, usual: 0.35, most: 0.6 };
/** Writing this near to the wished em keeps its size. */
const NEAR = 1.15;

export function frame(picture: Grey, levels: Levels, { box, em }: Writing, options: FrameOptions): Pixels {
  const wanted = options.em / em;
  const scale = wanted < NEAR && wanted > 1 / NEAR ? 1 : wanted;
  const margin = (found: number): number =>
    found >= Math.floor(MARGIN.least * em) && found <= MARGIN.most * em ? found : Math.ceil(MARGIN.usual * em);
  const window = {
    left: box.left - margin(box.left),
    top: box.top - margin(box.top),
    right: box.right + margin(picture.width - box.right),
    bottom: box.bottom + margin(picture.height - box.bottom),
  };
  const cutOut = cut(picture, levels, box, window);
  const side = (length: number): number => Math.max(1, Math.round(scale * length));
  const [height, width] = options.sides(side(cutOut.height), side(cutOut.width));
  return resizePixels(cutOut, width, height);
}

/** A window of the picture; beyond the picture is paper, and ink outside the writing's box becomes it. */
function cut(picture: Grey, { paper, ink }: Levels, box: Box, window: Box): Pixels {
  const faint = paper - 0.12 * (paper - ink);
  const [width, height] = [window.right - window.left, window.bottom - window.top];
  const pixels = new Uint8Array(width * height).fill(paper);
  const left = Math.max(window.left, 0);
  const right = Math.min(window.right, picture.width);
  /** Ink of a row of the window from `from` to `to` becomes paper. */
  const clean = (row: number, from: number, to: number): void => {
    for (let at = row + from - window.left; at < row + to - window.left; at++)
      if (pixels[at]! < faint) pixels[at] = paper;
  };
  for (let v = Math.max(window.top, 0); v < Math.min(window.bottom, picture.height); v++) {
    const row = (v - window.top) * width;
    const line = v * picture.width;
    pixels.set(picture.data.subarray(line + left, line + right), row + left - window.left);
    // Two pixels around the box are its soft edge.
    if (v < box.top - 2 || v >= box.bottom + 2) clean(row, left, right);
    else {
      clean(row, left, Math.min(right, Math.max(left, box.left - 2)));
      clean(row, Math.max(left, Math.min(right, box.right + 2)), right);
    }
  }
  return { width, height, pixels, channels: 1 };
}
