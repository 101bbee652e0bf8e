// Source `parquet`: Parquet files with an image column, a struct {bytes, path} as Hugging Face data sets have it or
// plain bytes, and a text column. Columns are found by the footer's `huggingface` features and their usual names.
import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { glob } from 'tinyglobby';
import { ParquetFile } from '../../formats/parquet.ts';
import { InputError } from '../../shared/errors.ts';
import { IMAGE_COLUMNS, TEXT_COLUMNS } from '../conversation.ts';
import { inputFile } from '../input_file.ts';
import type { InputFile, Item, Source, SourceOptions } from '../source.ts';

export async function open(pattern: string, options: SourceOptions): Promise<Source> {
  const paths = await filesOf(pattern);
  return openParquet(
    paths.map((path) => ({ path, name: path })),
    { path: pattern },
    options,
  );
}

/** A source of Parquet files, one after another; `name` is what each is known by, `identity` what named them all. */
export async function openParquet(
  parts: readonly { readonly path: string; readonly name: string }[],
  identity: Readonly<Record<string, unknown>>,
  { imageColumn, textColumn }: SourceOptions,
): Promise<Source> {
  const files: ParquetFile[] = [];
  const columns: ImageColumns[] = [];
  for (const { path } of parts) {
    const file = await ParquetFile.open(path);
    files.push(file);
    columns.push(columnsOf(file, imageColumn, textColumn));
  }
  return {
    options: { ...identity, imageColumn, textColumn },
    async files() {
      const states: InputFile[] = [];
      for (const { path, name } of parts) states.push({ ...(await inputFile(path, 'a Parquet file')), name });
      return states;
    },
    total: files.reduce((sum, file) => sum + file.rows, 0),
    async *rows(from) {
      let first = 0;
      for (const [k, file] of files.entries()) {
        if (first + file.rows > from) yield* fileRows(file, columns[k]!, Math.max(0, from - first));
        first += file.rows;
      }
    },
  };
}

/** A file, all of a folder, or what a glob finds; a name that exists is taken as it is, brackets and all. */
async function filesOf(pattern: string): Promise<string[]> {
  const info = await stat(pattern).catch(() => undefined);
  if (info?.isFile()) return [pattern];
  const found = info?.isDirectory()
    ? (await glob('**/*.parquet', { cwd: pattern })).map((name) => join(pattern, name))
    : await glob(pattern.replaceAll('\\', '/'), { expandDirectories: false, absolute: isAbsolute(pattern) });
  if (found.length > 0) return found.sort();
  throw new InputError(
    `parquet:${pattern}: no Parquet files there; expected a file, a folder or a glob such as data/*.parquet.`,
  );
}

interface ImageColumns {
  readonly bytes: readonly string[];
  readonly path: readonly string[] | undefined;
  readonly text: readonly string[];
}

function columnsOf(file: ParquetFile, imageColumn?: string, textColumn?: string): ImageColumns {
  const { columns, features } = file;
  const has = columns.map(({ name }) => `'${name}'`).join(', ');
  const find = (given: string | undefined, candidates: readonly string[], what: string, flag: string): string => {
    const name = given ?? (candidates.length === 1 ? candidates[0] : undefined);
    if (name !== undefined && columns.some((column) => column.name === name)) return name;
    const fault =
      given === undefined
        ? `${candidates.length === 0 ? 'no' : 'more than one'} ${what} column`
        : `no column '${given}'`;
    throw new InputError(`${file.path}: ${fault}; it has ${has}. Name one with ${flag}.`);
  };
  const usual = (names: readonly string[], among: readonly string[]): readonly string[] => {
    const name = names.find((candidate) => among.includes(candidate));
    return name === undefined ? among : [name];
  };
  const told = columns.filter(({ name }) => features[name]?._type === 'Image');
  const images =
    told.length > 0
      ? told
      : columns.filter(({ parts, text }) => parts.includes('bytes') || (parts.length === 0 && !text));
  const image = find(
    imageColumn,
    usual(
      IMAGE_COLUMNS,
      images.map(({ name }) => name),
    ),
    'image',
    '--image-column',
  );
  const texts = columns.filter(({ text, name }) => text && name !== image);
  const text = find(
    textColumn,
    usual(
      TEXT_COLUMNS,
      texts.map(({ name }) => name),
    ),
    'text',
    '--text-column',
  );
  const { parts } = columns.find(({ name }) => name === image)!;
  if (parts.length > 0 && !parts.includes('bytes'))
    throw new InputError(
      `${file.path}: the column '${image}' has no bytes, only ${parts.join(', ')}. Name another with --image-column.`,
    );
  const found = {
    bytes: parts.length > 0 ? [image, 'bytes'] : [image],
    path: parts.includes('path') ? [image, 'path'] : undefined,
    text: [text],
  };
  for (const column of [found.bytes, found.text])
    if (file.isList(column))
      throw new InputError(`${file.path}: the column '${column[0]}' holds lists; expected one value a row.`);
  return found;
}

async function* fileRows(file: ParquetFile, columns: ImageColumns, from: number): AsyncGenerator<Item> {
  const images = new Cursor(file.values(columns.bytes, from));
  const paths = columns.path && new Cursor(file.values(columns.path, from));
  const texts = new Cursor(file.values(columns.text, from));
  try {
    for (let row = from; row < file.rows; row++) {
      for (const cursor of [images, paths, texts]) if (cursor && !cursor.ready) await cursor.fill();
      const where = `${file.path} row ${row + 1}`;
      const bytes = images.take();
      const path = asText(paths?.take());
      const text = asText(texts.take()) ?? '';
      if (bytes instanceof Uint8Array) yield { where, image: bytes, text };
      else if (bytes !== null)
        throw new InputError(
          `${file.path}: the column '${columns.bytes[0]}' holds no bytes; name another with --image-column.`,
        );
      else if (!path) yield { where, unusable: 'no image path', detail: text };
      else {
        const outside =
          isAbsolute(path) || relative(dirname(file.path), join(dirname(file.path), path)).startsWith('..');
        yield outside
          ? { where, unusable: 'image path leads out of the folder', detail: path }
          : { where, image: join(dirname(file.path), path), text };
      }
    }
  } finally {
    await Promise.all([images, paths, texts].map((cursor) => cursor?.close()));
  }
}

function asText(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.length).toString()
    : String(value);
}

/** One value after another out of batches. */
class Cursor {
  private batch: readonly unknown[] = [];
  private at = 0;
  constructor(private readonly batches: AsyncGenerator<readonly unknown[]>) {}

  get ready(): boolean {
    return this.at < this.batch.length;
  }

  async fill(): Promise<void> {
    while (!this.ready) {
      const { value, done } = await this.batches.next();
      if (done) throw new InputError('a Parquet column has fewer values than the file has rows; fetch the file again.');
      [this.batch, this.at] = [value, 0];
    }
  }

  take(): unknown {
    return this.batch[this.at++];
  }

  async close(): Promise<void> {
    await this.batches.return(undefined);
  }
}
