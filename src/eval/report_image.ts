// Images for the report: small enough for a page that holds them all, on white.
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { InputError, messageOf } from '../shared/errors.ts';

/** The image file as a data: URI of at most 800 × 600 pixels. */
export async function imageUri(file: string): Promise<string> {
  try {
    const png = await sharp(await readFile(file), { pages: 1 })
      .flatten({ background: '#fff' })
      .resize({ width: 800, height: 600, fit: 'inside', withoutEnlargement: true })
      .png({ compressionLevel: 9 })
      .toBuffer();
    return `data:image/png;base64,${png.toString('base64')}`;
  } catch (error) {
    throw new InputError(`${file}: cannot be shown in the report (${messageOf(error)}); was it moved or changed?`);
  }
}
