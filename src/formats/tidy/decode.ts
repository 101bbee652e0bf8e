// A person's picture to pixels: turned upright as its camera noted, its transparency kept, and large photographs shrunk.
import sharp from 'sharp';
import { imageBytes, unreadable } from '../image.ts';
import { decodePng } from '../png.ts';
import type { Picture } from './opaque.ts';

/** What is kept of a larger picture, in pixels: the letters of a page across it are still 20 high. */
const KEPT_PIXELS = 1_600_000;
/** Above this a file is taken for a decompression bomb. */
const MAX_PIXELS = 178_956_970;

export async function decodePicture(source: string | Uint8Array, name: string): Promise<Picture> {
  const bytes = await imageBytes(source, name);
  const png = decodePng(bytes);
  if (png !== null) return png;
  try {
    const image = sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'error', pages: 1 }).autoOrient();
    const { autoOrient } = await image.metadata();
    const factor = Math.min(1, Math.sqrt(KEPT_PIXELS / (autoOrient.width * autoOrient.height)));
    const { data, info } = await image
      .resize({ width: Math.max(1, Math.round(autoOrient.width * factor)), withoutEnlargement: true })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: info.channels, data };
  } catch (error) {
    throw unreadable(name, error);
  }
}
