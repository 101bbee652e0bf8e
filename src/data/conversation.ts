// The tutorial's two files: a CSV image_path,text and the conversation JSON, which train and validation are split into.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { stringify } from 'csv-stringify/sync';
import { z } from 'zod';
import { InputError, messageOf } from '../shared/errors.ts';
import { Random } from '../shared/random.ts';

export interface LabelledImage {
  readonly image: string;
  readonly text: string;
}

const Conversations = z.array(
  z.object({
    id: z.string(),
    conversations: z.tuple([
      z.object({ role: z.literal('user'), value: z.string().min(1) }),
      z.object({ role: z.literal('assistant'), value: z.string() }),
    ]),
  }),
);

/** Writes a file whole or not at all. */
export async function writeAtomically(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, file);
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${messageOf(error)}); expected ${what}.`);
  }
}

/** Image paths are relative to the file that holds them, unless absolute. */
const resolved = (file: string, image: string): string => (isAbsolute(image) ? image : join(dirname(file), image));

export function writeConversations(file: string, rows: readonly LabelledImage[]): Promise<void> {
  const json = rows.map(({ image, text }, i) => ({
    id: `identity_${i + 1}`,
    conversations: [
      { role: 'user', value: image },
      { role: 'assistant', value: text },
    ],
  }));
  return writeAtomically(file, `${JSON.stringify(json, null, 2)}\n`);
}

/** Reads the conversation JSON; faults are InputErrors that name the entry. Image paths come back resolved. */
export async function readConversations(file: string): Promise<LabelledImage[]> {
  const text = await readText(file, 'a conversation JSON as `texlens prepare` writes it');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${file}: broken JSON (${messageOf(error)}). Run texlens prepare again, or mend the file.`);
  }
  const parsed = Conversations.safeParse(json);
  if (!parsed.success) throw new InputError(`${file}: not a conversation list:\n${z.prettifyError(parsed.error)}`);
  return parsed.data.map(({ id, conversations: [user, assistant] }) => {
    if (assistant.value.trim() === '')
      throw new InputError(`${file}: the label of ${id} is empty; give it a label or drop it.`);
    return { image: resolved(file, user.value), text: assistant.value };
  });
}

export function writeCsv(file: string, rows: readonly LabelledImage[]): Promise<void> {
  return writeAtomically(
    file,
    stringify(
      rows.map(({ image, text }) => [image, text]),
      { header: true, columns: ['image_path', 'text'] },
    ),
  );
}

export interface Columns {
  readonly image?: string;
  readonly text?: string;
}

const IMAGE_COLUMNS = ['image_path', 'image', 'file', 'file_name', 'filename', 'path'];
const TEXT_COLUMNS = ['text', 'latex', 'label', 'formula'];

/** Reads labels from CSV, TSV or JSONL; columns are found by their usual names or given. Paths come back resolved. */
export async function readLabels(file: string, columns: Columns = {}): Promise<LabelledImage[]> {
  const text = await readText(file, 'labels as CSV, TSV or JSONL');
  const rows = file.endsWith('.jsonl') ? jsonLines(file, text) : delimited(file, text);
  const names = Object.keys(rows[0] ?? {});
  const column = (given: string | undefined, usual: readonly string[], option: string) => {
    const name = given ?? usual.find((n) => names.includes(n));
    if (name === undefined || !names.includes(name))
      throw new InputError(
        `${file}: no column ${given ? `'${given}'` : usual.join(', ')}; it has ${names.join(', ') || 'none'}. Name one with ${option}.`,
      );
    return name;
  };
  if (rows.length === 0) throw new InputError(`${file}: has no rows; expected a line an image.`);
  const image = column(columns.image, IMAGE_COLUMNS, '--image-column');
  const label = column(columns.text, TEXT_COLUMNS, '--text-column');
  return rows.map((row) => ({ image: resolved(file, String(row[image] ?? '')), text: String(row[label] ?? '') }));
}

function delimited(file: string, text: string): Record<string, unknown>[] {
  try {
    return parse(text, {
      columns: true,
      bom: true,
      skip_empty_lines: true,
      delimiter: file.endsWith('.tsv') ? '\t' : ',',
    }) as Record<string, unknown>[];
  } catch (error) {
    throw new InputError(`${file}: broken table (${messageOf(error)}).`);
  }
}

function jsonLines(file: string, text: string): Record<string, unknown>[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line) as Record<string, unknown>];
    } catch (error) {
      throw new InputError(`${file}:${i + 1}: broken JSON (${messageOf(error)}).`);
    }
  });
}

export interface SplitOptions {
  readonly valCount?: number;
  readonly valRatio?: number;
  /** seed of a shuffled split; in order without one */
  readonly shuffleSeed?: number;
}

/** The last rows validate: 4, or valCount, or valRatio of all. */
export function split<T>(
  rows: readonly T[],
  { valCount, valRatio, shuffleSeed }: SplitOptions,
): { train: T[]; val: T[] } {
  const count = valCount ?? (valRatio === undefined ? Math.min(4, rows.length) : Math.round(valRatio * rows.length));
  if (count > rows.length) throw new InputError(`--val-count ${count}: there are only ${rows.length} samples.`);
  const ordered = shuffleSeed === undefined ? rows.slice() : Random.from(shuffleSeed).shuffled(rows);
  return { train: ordered.slice(0, rows.length - count), val: ordered.slice(rows.length - count) };
}
