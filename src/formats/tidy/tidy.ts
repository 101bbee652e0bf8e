// Any picture of a formula to what a model was trained on: dark writing of one size on light paper, cut out. Clean
// pictures keep their pixels but for the margin and the scale.
import { resizePixels } from '../image.ts';
import type { Pixels } from '../png.ts';
import { components } from './components.ts';
import { inkLimit, levelsOf, stretch } from './contrast.ts';
import { decodePicture } from './decode.ts';
import { flatten } from './flatten.ts';
import { type FrameOptions, frame } from './frame.ts';
import { darkOnLight } from './grey.ts';
import { opaque, type Picture } from './opaque.ts';
import { findWriting } from './text_size.ts';

/** The em that `--tidy` brings writing to for a model that names none, in pixels. */
export const DEFAULT_EM = 28;

export interface Tidied extends Pixels {
  /** whether nothing is written on it */
  readonly isBlank: boolean;
}

export async function tidyImage(source: string | Uint8Array, name: string, options: FrameOptions): Promise<Tidied> {
  return tidy(await decodePicture(source, name), options);
}

/** Where nothing is written the whole picture is resized, in grey. */
export function tidy(picture: Picture, options: FrameOptions): Tidied {
  const even = flatten(darkOnLight(opaque(picture)));
  const levels = levelsOf(even);
  const clear = levels ? stretch(even, levels) : even;
  const clearLevels = clear === even ? levels : levelsOf(clear);
  const writing = clearLevels && findWriting(components(clear, inkLimit(clearLevels)), clear);
  if (clearLevels && writing) return { ...frame(clear, clearLevels, writing, options), isBlank: false };
  const [height, width] = options.sides(clear.height, clear.width);
  return { ...resizePixels({ ...clear, pixels: clear.data, channels: 1 }, width, height), isBlank: true };
}
