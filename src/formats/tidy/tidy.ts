// Any picture of a formula to what a model was trained on: dark writing of one size on light paper, cut out. Clean
// pictures keep their pixels but for the margin and the scale.
import type { RgbImage } from '../image.ts';
import { components } from './components.ts';
import { inkLimit, levelsOf, stretch } from './contrast.ts';
import { decodePicture } from './decode.ts';
import { flatten } from './flatten.ts';
import { type FrameOptions, frame } from './frame.ts';
import { darkOnLight, type Grey } from './grey.ts';
import { opaque, type Picture } from './opaque.ts';
import { findWriting } from './text_size.ts';

/** The em that `--tidy` brings writing to for a model that names none, in pixels. */
export const DEFAULT_EM = 28;

export async function tidyImage(source: string | Uint8Array, name: string, options: FrameOptions): Promise<RgbImage> {
  return tidy(await decodePicture(source, name), options);
}

/** Where nothing is written the whole picture is returned, in grey. */
export function tidy(picture: Picture, options: FrameOptions): RgbImage {
  const even = flatten(darkOnLight(opaque(picture)));
  const levels = levelsOf(even);
  if (levels === null) return whole(even);
  const clear = stretch(even, levels);
  const clearLevels = clear === even ? levels : levelsOf(clear)!;
  const writing = findWriting(components(clear, inkLimit(clearLevels)), clear);
  return writing === null ? whole(clear) : frame(clear, clearLevels, writing, options);
}

/** A grey picture in three channels. */
export function whole({ width, height, data }: Grey): RgbImage {
  const rgb = new Uint8Array(data.length * 3);
  for (let i = 0; i < rgb.length; i++) rgb[i] = data[Math.floor(i / 3)]!;
  return { width, height, rgb };
}
