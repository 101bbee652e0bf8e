// Source `folder`: images with a labels file beside them (CSV, TSV or JSONL).
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { decodeImage } from '../../formats/image.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { type Columns, type LabelledImage, type LabelRow, readLabels } from '../conversation.ts';

/** The labels file of a folder: labels.csv, .tsv or .jsonl, or its one such file; or the file itself. */
export async function labelsFile(path: string): Promise<string> {
  const info = await stat(path).catch((error: unknown) => {
    throw new InputError(`${path}: ${messageOf(error)}; expected a folder of images with labels.csv, .tsv or .jsonl.`);
  });
  if (info.isFile()) return path;
  const files = (await readdir(path)).filter((name) => /\.(csv|tsv|jsonl)$/i.test(name)).sort();
  const named = files.filter((name) => /^labels\./i.test(name));
  const chosen = named.length > 0 ? named : files;
  if (chosen.length !== 1) {
    throw new InputError(
      `${path}: expected one labels file (labels.csv, .tsv or .jsonl), found ${chosen.join(', ') || 'none'}; name the file itself, as in folder:${join(path, 'labels.csv')}.`,
    );
  }
  return join(path, chosen[0]!);
}

/** The rows of a folder's labels file. */
export async function folderLabels(path: string, columns: Columns): Promise<LabelRow[]> {
  return readLabels(await labelsFile(path), columns);
}

export type Taken =
  | { readonly file: string; readonly width: number; readonly height: number }
  | { readonly dropped: string; readonly detail: string };

/** Checks a row and puts its image into `folder` as `name`.png or .jpg: PNG and JPEG bytes as they are, others as PNG. */
export async function takeImage(row: LabelledImage, folder: string, name: string): Promise<Taken> {
  if (row.text.trim() === '') return { dropped: 'empty label', detail: row.image || 'a row without image' };
  if (row.image === '') return { dropped: 'no image path', detail: row.text };
  let bytes: Buffer;
  try {
    bytes = await readFile(row.image);
  } catch (error) {
    return { dropped: 'image file not readable', detail: messageOf(error) };
  }
  try {
    const { width, height } = await decodeImage(bytes, row.image);
    const ending = endingOf(bytes);
    const file = `${name}.${ending ?? 'png'}`;
    const out = ending === undefined ? await sharp(bytes, { pages: 1 }).png().toBuffer() : bytes;
    await writeFile(join(folder, file), out);
    return { file, width, height };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { dropped: 'not a readable image', detail: messageOf(error) };
  }
}

function endingOf(bytes: Uint8Array): 'png' | 'jpg' | undefined {
  const starts = (...magic: readonly number[]): boolean => magic.every((byte, i) => bytes[i] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47)) return 'png';
  return starts(0xff, 0xd8, 0xff) ? 'jpg' : undefined;
}
