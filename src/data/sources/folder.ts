// A folder of images with a labels file beside them (CSV, TSV or JSONL).
import { copyFile, readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { decodeImage } from '../../formats/image.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { type Columns, type LabelledImage, readLabels } from '../conversation.ts';

/** Labels of a folder: its one CSV, TSV or JSONL file, or the file itself. */
export async function folderLabels(path: string, columns: Columns): Promise<LabelledImage[]> {
  const info = await stat(path).catch((error: unknown) => {
    throw new InputError(`${path}: ${messageOf(error)}; expected a folder of images with labels.csv, .tsv or .jsonl.`);
  });
  if (info.isFile()) return readLabels(path, columns);
  const files = (await readdir(path)).filter((name) => /\.(csv|tsv|jsonl)$/i.test(name)).sort();
  if (files.length !== 1)
    throw new InputError(
      `${path}: expected one labels file (.csv, .tsv or .jsonl), found ${files.join(', ') || 'none'}; name the file itself.`,
    );
  return readLabels(join(path, files[0] as string), columns);
}

/** Checks a row and copies its image as it is to `target` + its extension; returns the file's name or why it is dropped. */
export async function takeImage(
  row: LabelledImage,
  folder: string,
  name: string,
): Promise<{ file: string } | { dropped: string }> {
  if (row.text.trim() === '') return { dropped: 'empty label' };
  try {
    await decodeImage(row.image);
  } catch {
    return { dropped: 'unreadable image' };
  }
  const file = name + extname(row.image).toLowerCase();
  await copyFile(row.image, join(folder, file));
  return { file };
}
