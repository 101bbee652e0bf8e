// The writing cut out with a margin of its own size and brought to the wished em, in one resampling.
import { type RgbImage, resizeBicubic } from '../image.ts';
import type { Levels } from './contrast.ts';
import type { Grey } from './grey.ts';
import type { Writing } from './text_size.ts';

export interface FrameOptions {
  /** pixels that the writing's em becomes, where the limits leave room */
  readonly em: number;
  /** both sides become multiples of it, by margin alone: nothing is squeezed */
  readonly factor: number;
  readonly minPixels: number;
  readonly maxPixels: number;
}

/** In em of the writing, on every side at least. */
const MARGIN = 0.4;
/** Writing this near to the wished em keeps its pixels. */
const NEAR = 1.15;

export function frame(picture: Grey, levels: Levels, { box, em }: Writing, options: FrameOptions): RgbImage {
  const { factor, minPixels, maxPixels } = options;
  const wanted = options.em / em;
  let scale = wanted < NEAR && wanted > 1 / NEAR ? 1 : wanted;
  const side = (length: number): number =>
    Math.max(1, Math.ceil((scale * (length + 2 * MARGIN * em)) / factor)) * factor;
  const sides = (): [number, number] => [side(box.right - box.left), side(box.bottom - box.top)];
  let [width, height] = sides();
  // At the least, one square is left, and the limits are told from it.
  while (width * height > maxPixels && (width > factor || height > factor)) {
    scale *= 0.98;
    [width, height] = sides();
  }
  while (width * height < minPixels) {
    if (width <= height) width += factor;
    else height += factor;
  }
  return resizeBicubic(cut(picture, levels, box, Math.round(width / scale), Math.round(height / scale)), width, height);
}

/** A window of the picture around the middle of a box; beyond the picture is paper, and ink outside the box becomes it. */
function cut(picture: Grey, { paper, ink }: Levels, box: Writing['box'], width: number, height: number): RgbImage {
  const faint = paper - 0.12 * (paper - ink);
  const left = Math.round((box.left + box.right - width) / 2);
  const top = Math.round((box.top + box.bottom - height) / 2);
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    const v = y + top;
    const inRows = v >= box.top - 2 && v < box.bottom + 2;
    for (let x = 0; x < width; x++) {
      const u = x + left;
      const isInside = u >= 0 && v >= 0 && u < picture.width && v < picture.height;
      let value = isInside ? picture.data[v * picture.width + u]! : paper;
      // Two pixels around the box are its soft edge.
      if (value < faint && !(inRows && u >= box.left - 2 && u < box.right + 2)) value = paper;
      rgb[at++] = value;
      rgb[at++] = value;
      rgb[at++] = value;
    }
  }
  return { width, height, rgb };
}
