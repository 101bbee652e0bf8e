// Images as other tools show them: PNG and JPEG as they are, everything else as PNG.
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import sharp from 'sharp';

export interface Picture {
  readonly bytes: Buffer;
  readonly extension: '.png' | '.jpg';
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

export async function readPicture(file: string): Promise<Picture> {
  const source = await readFile(file);
  const extension = extname(file) === '.jpg' ? '.jpg' : '.png';
  const bytes = ['.png', '.jpg'].includes(extname(file)) ? source : await sharp(source).png().toBuffer();
  const { width, height, channels } = await sharp(bytes).metadata();
  return { bytes, extension, width, height, channels };
}
