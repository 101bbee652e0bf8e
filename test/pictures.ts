// Pictures as people have them, made of a clean one: other colours, sizes, margins, light.
import sharp from 'sharp';
import { type RgbImage, resizeBicubic } from '../src/formats/image.ts';
import type { Picture } from '../src/formats/tidy/opaque.ts';
import { Random } from '../src/shared/random.ts';

export type Colour = readonly [number, number, number];

export const asPicture = ({ width, height, rgb }: RgbImage): Picture => ({ width, height, channels: 3, data: rgb });

/** Each byte by a function of its value, place and channel. */
export function mapped(image: RgbImage, of: (value: number, x: number, y: number, c: number) => number): RgbImage {
  const rgb = image.rgb.map((value, i) => {
    const pixel = Math.floor(i / 3);
    const y = Math.floor(pixel / image.width);
    return Math.max(0, Math.min(255, Math.round(of(value, pixel - y * image.width, y, i % 3))));
  });
  return { ...image, rgb };
}

export const coloured = (image: RgbImage, ink: Colour, paper: Colour): RgbImage =>
  mapped(image, (v, _x, _y, c) => ink[c]! + ((paper[c]! - ink[c]!) * v) / 255);

/** Ink of one colour, and nothing else: the paper is transparent. */
export function transparent({ width, height, rgb }: RgbImage, level: number): Picture {
  const data = new Uint8Array(width * height * 4).fill(level);
  for (let i = 0; i < width * height; i++) data[i * 4 + 3] = 255 - rgb[i * 3]!;
  return { width, height, channels: 4, data };
}

export function padded({ width, height, rgb }: RgbImage, by: number, level = 255): RgbImage {
  const [w, h] = [width + 2 * by, height + 2 * by];
  const out = new Uint8Array(w * h * 3).fill(level);
  for (let y = 0; y < height; y++) out.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), ((y + by) * w + by) * 3);
  return { width: w, height: h, rgb: out };
}

export const scaled = (image: RgbImage, by: number): RgbImage =>
  resizeBicubic(image, Math.round(image.width * by), Math.round(image.height * by));

/** Paper under a lamp at the upper left: a third of the light is left at the other corner, with the grain of a sensor. */
export function photographed(image: RgbImage): RgbImage {
  const random = Random.from(2);
  const warm = [1, 0.95, 0.85];
  return mapped(image, (v, x, y, c) => {
    const light = 1 - 0.65 * ((0.7 * x) / image.width + (0.3 * y) / image.height);
    return (30 + 0.8 * v) * light * warm[c]! + 6 * (random.float() - 0.5);
  });
}

export async function jpeg({ width, height, rgb }: RgbImage, quality: number, blur = 0): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  return (blur > 0 ? image.blur(blur) : image).jpeg({ quality }).toBuffer();
}
