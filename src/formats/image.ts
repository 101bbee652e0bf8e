// Image files to RGB pixels, and Pillow's bicubic resize (Pillow src/libImaging/Resample.c), bit for bit.
import { readFile } from 'node:fs/promises';
import { InputError, messageOf } from '../shared/errors.ts';
import { decodePng, type Pixels } from './png.ts';

export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** interleaved, width · height · 3 */
  readonly rgb: Uint8Array;
}

/** Above this a file is taken for a decompression bomb (as Pillow's error limit). */
const MAX_PIXELS = 178_956_970;

/**
 * Decodes the first frame of a file or buffer to 8-bit RGB, as Pillow does: profiles, gamma and orientation are not
 * applied, 16 bits keep their high byte. Transparency is laid on white. `name` is what errors call it; an image of more
 * than `maxPixels` is refused before it takes memory.
 */
export async function decodeImage(
  source: string | Uint8Array,
  name = typeof source === 'string' ? source : 'image',
  maxPixels = MAX_PIXELS,
): Promise<RgbImage> {
  const bytes = await imageBytes(source, name);
  const png = decodePng(bytes);
  if (png !== null && png.width * png.height <= maxPixels)
    return { width: png.width, height: png.height, rgb: toRgb(png.data, png.channels) };
  // Loaded when first needed, for that takes longer than to decode a thousand small PNGs.
  const { default: sharp } = await import('sharp');
  try {
    const image = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error', pages: 1, ignoreIcc: true });
    // sharp would go through an ink profile, Pillow does not.
    const cmyk = (await image.metadata()).space === 'cmyk';
    const { data, info } = await (cmyk ? image.pipelineColourspace('cmyk') : image)
      .toColourspace(cmyk ? 'cmyk' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const rgb = cmyk ? fromCmyk(data, info.channels) : toRgb(data, info.channels);
    return { width: info.width, height: info.height, rgb };
  } catch (error) {
    if (messageOf(error).includes('exceeds pixel limit'))
      throw new InputError(
        `${name}: has more than ${maxPixels.toLocaleString('en')} pixels; make the picture smaller.`,
      );
    throw unreadable(name, error);
  }
}

/** The bytes of a file or buffer: read here, for sharp remembers files by their path and would give the old pixels of one that has changed. */
export async function imageBytes(source: string | Uint8Array, name: string): Promise<Uint8Array> {
  let bytes = source;
  if (typeof bytes === 'string')
    bytes = await readFile(bytes).catch((error: unknown) => {
      throw new InputError(`${name}: the image cannot be read (${messageOf(error)}); check the path.`);
    });
  if (bytes.length === 0) throw new InputError(`${name}: the image file is empty; expected an image, fetch it again.`);
  return bytes;
}

export const unreadable = (name: string, error: unknown): InputError =>
  new InputError(
    `${name}: not a readable image (${messageOf(error)}); expected a whole PNG, JPEG, WebP, GIF or TIFF file. ` +
      'Convert it or fetch it again.',
  );

/** Pillow's rounding of a·b/255. */
function scaled(a: number, b: number): number {
  const product = a * b + 128;
  return (product + (product >> 8)) >> 8;
}

function fromCmyk(data: Uint8Array, channels: number): Uint8Array {
  const count = data.length / channels;
  const out = new Uint8Array(count * 3);
  for (let p = 0; p < count; p++) {
    const light = 255 - (data[p * channels + 3] as number);
    for (let c = 0; c < 3; c++) out[p * 3 + c] = Math.max(0, light - scaled(data[p * channels + c] as number, light));
  }
  return out;
}

/** 1, 2, 3 or 4 channels to 3; alpha composites on white with Pillow's rounding of a·α + 255·(1−α). */
function toRgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  const count = data.length / channels;
  const out = new Uint8Array(count * 3);
  const colours = channels < 3 ? 1 : 3;
  const alpha = channels === 2 || channels === 4;
  for (let p = 0; p < count; p++) {
    const a = alpha ? (data[p * channels + channels - 1] as number) : 255;
    for (let c = 0; c < 3; c++) {
      const value = data[p * channels + (colours === 1 ? 0 : c)] as number;
      const blended = value * a + 255 * (255 - a) + 128;
      out[p * 3 + c] = (blended + (blended >> 8)) >> 8;
    }
  }
  return out;
}

const PRECISION_BITS = 32 - 8 - 2;
const HALF = 1 << (PRECISION_BITS - 1);

/** Bicubic kernel with a = −0.5. */
function bicubic(x: number): number {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
}

interface Coefficients {
  readonly size: number;
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** fixed point, [out, size]; 0 beyond the count, for sizes are multiples of 4 */
  readonly weights: Int32Array;
}

function coefficients(from: number, to: number): Coefficients {
  const scale = from / to;
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  const size = (Math.ceil(support) * 2 + 4) & ~3;
  const starts = new Int32Array(to);
  const counts = new Int32Array(to);
  const weights = new Int32Array(to * size);
  const row = new Float64Array(size);
  for (let x = 0; x < to; x++) {
    const centre = (x + 0.5) * scale;
    const inverse = 1 / filterScale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - start;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      row[i] = bicubic((i + start - centre + 0.5) * inverse);
      sum += row[i] as number;
    }
    for (let i = 0; i < count; i++) {
      const w = (sum === 0 ? (row[i] as number) : (row[i] as number) / sum) * 2 ** PRECISION_BITS;
      weights[x * size + i] = Math.trunc(w < 0 ? w - 0.5 : w + 0.5);
    }
    starts[x] = start;
    counts[x] = count;
  }
  return { size, starts, counts, weights };
}

const clip8 = (fixed: number): number => {
  const value = fixed >> PRECISION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

/** Bytes from a line to the next, and from a pixel to the next in its line. */
interface Walk {
  readonly line: number;
  readonly step: number;
}

/**
 * One channel of `lines` lines, which begins at byte `offset`. Pixel by pixel through all lines with four weights at hand,
 * which takes a third of the time of line by line. Sums stay below 2³¹, as in Pillow: the weights of a pixel add up to 1,
 * and what they overshoot is less than that; so they are integers all along (`| 0` tells the compiler).
 */
function pass(
  source: Uint8Array,
  target: Uint8Array,
  { size, starts, counts, weights }: Coefficients,
  lines: number,
  from: Walk,
  to: Walk,
  offset: number,
): void {
  const sums = new Int32Array(lines);
  for (let x = 0; x < starts.length; x++) {
    const count = counts[x]!;
    const first = offset + starts[x]! * from.step;
    let out = offset + x * to.step;
    sums.fill(HALF);
    for (let k = 0; k < count; k += 4) {
      const at = x * size + k;
      const w0 = weights[at]!;
      const w1 = weights[at + 1]!;
      const w2 = weights[at + 2]!;
      const w3 = weights[at + 3]!;
      // Pixels that are none have the weight 0; the last one stands in for them.
      const last = count - 1 - k;
      const t1 = Math.min(1, last) * from.step;
      const t2 = Math.min(2, last) * from.step;
      const t3 = Math.min(3, last) * from.step;
      let pixel = first + k * from.step;
      if (count > 4)
        for (let line = 0; line < lines; line++, pixel += from.line) {
          const left = (Math.imul(source[pixel]!, w0) + Math.imul(source[pixel + t1]!, w1)) | 0;
          const right = (Math.imul(source[pixel + t2]!, w2) + Math.imul(source[pixel + t3]!, w3)) | 0;
          sums[line] = (((sums[line]! + left) | 0) + right) | 0;
        }
      // All weights are here. Four pixels of one level, as most of a formula's are, become it: the weights add up to 1.
      else
        for (let line = 0; line < lines; line++, pixel += from.line, out += to.line) {
          const p0 = source[pixel]!;
          const p1 = source[pixel + t1]!;
          const p2 = source[pixel + t2]!;
          const p3 = source[pixel + t3]!;
          if (p0 === p1 && p2 === p3 && p0 === p2) {
            target[out] = p0;
            continue;
          }
          const left = (Math.imul(p0, w0) + Math.imul(p1, w1)) | 0;
          const right = (Math.imul(p2, w2) + Math.imul(p3, w3)) | 0;
          target[out] = clip8((((HALF + left) | 0) + right) | 0);
        }
    }
    if (count > 4) for (let line = 0; line < lines; line++, out += to.line) target[out] = clip8(sums[line]!);
  }
}

/** Resizes as Pillow's Image.resize(…, BICUBIC) does for RGB. */
export function resizeBicubic({ rgb, ...size }: RgbImage, width: number, height: number): RgbImage {
  return { width, height, rgb: resizePixels({ ...size, pixels: rgb, channels: 3 }, width, height).pixels };
}

/** The same of either number of channels: horizontally, then vertically, each rounded to bytes. */
export function resizePixels({ channels, ...image }: Pixels, width: number, height: number): Pixels {
  let { pixels } = image;
  if (width !== image.width) {
    const out = new Uint8Array(width * image.height * channels);
    const [from, to] = [image.width, width].map((side) => ({ line: side * channels, step: channels })) as [Walk, Walk];
    const across = coefficients(image.width, width);
    for (let c = 0; c < channels; c++) pass(pixels, out, across, image.height, from, to, c);
    pixels = out;
  }
  if (height !== image.height) {
    const out = new Uint8Array(width * height * channels);
    const row = width * channels;
    // Channels are as columns here.
    const down = { line: 1, step: row };
    pass(pixels, out, coefficients(image.height, height), row, down, down, 0);
    pixels = out;
  }
  return { pixels, width, height, channels };
}
