// Source `folder`: images with a labels file beside them (CSV, TSV or JSONL).
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, messageOf } from '../../shared/errors.ts';
import { readLabels } from '../conversation.ts';
import { imageFiles, inputFile } from '../input_file.ts';
import type { Item, Source, SourceOptions } from '../source.ts';

/** The labels file of a folder: labels.csv, .tsv or .jsonl, or its one such file; or the file itself. */
async function labelsFile(path: string): Promise<string> {
  const info = await stat(path).catch((error: unknown) => {
    throw new InputError(`${path}: ${messageOf(error)}; expected a folder of images with labels.csv, .tsv or .jsonl.`);
  });
  if (info.isFile()) return path;
  return join(path, chooseLabels(path, await readdir(path), `folder:${join(path, 'labels.csv')}`));
}

/** The labels file among `names`; `example` shows how one is named outright. */
export function chooseLabels(where: string, names: readonly string[], example: string | null): string {
  const files = names.filter((name) => /\.(csv|tsv|jsonl)$/i.test(name)).sort();
  const named = files.filter((name) => /^(.*\/)?labels\.[a-z]+$/i.test(name));
  const chosen = named.length > 0 ? named : files;
  if (chosen.length === 1) return chosen[0]!;
  const next = example === null ? 'keep one of them' : `name the file itself, as in ${example}`;
  throw new InputError(
    `${where}: expected one labels file (labels.csv, .tsv or .jsonl), found ${chosen.join(', ') || 'none'}; ${next}.`,
  );
}

export async function open(path: string, { imageColumn, textColumn }: SourceOptions): Promise<Source> {
  const file = await labelsFile(path);
  const rows = await readLabels(file, { image: imageColumn, text: textColumn });
  return {
    options: { path, imageColumn, textColumn },
    files: () =>
      Promise.all([
        inputFile(file, 'labels'),
        imageFiles(
          'images',
          rows.map(({ image }) => image),
        ),
      ]),
    total: rows.length,
    *rows(from): Iterable<Item> {
      for (let i = from; i < rows.length; i++) {
        const { image, text, line } = rows[i]!;
        const where = `line ${line}`;
        yield image === '' ? { where, unusable: 'no image path', detail: text } : { where, image, text };
      }
    },
  };
}
