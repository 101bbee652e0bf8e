// The tutorial's two files: a CSV image_path,text and the conversation JSON, which train and validation are split into.
// Image paths in them are relative to the file that holds them, or absolute; they come back resolved.
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { z } from 'zod';
import { InputError, messageOf } from '../shared/errors.ts';
import { writeAtomically } from '../shared/files.ts';
import { Random } from '../shared/random.ts';
import { readTable } from './table.ts';

export interface LabelledImage {
  readonly image: string;
  readonly text: string;
}

/** An entry of the conversation JSON. */
export interface Conversation {
  readonly images: readonly string[];
  /** the instruction beside the images, where the entry has one */
  readonly prompt?: string;
  /** the answer */
  readonly text: string;
}

const path = z.string().min(1);
const Entry = z.object({
  id: z.string(),
  conversations: z.tuple([
    z.object({ role: z.literal('user'), value: z.union([path, z.array(path).min(1)]) }),
    z.object({ role: z.literal('assistant'), value: z.string() }),
  ]),
});

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${messageOf(error)}); expected ${what}.`);
  }
}

const resolved = (file: string, image: string): string => (isAbsolute(image) ? image : join(dirname(file), image));

/** The conversation JSON's text in parts, as Python's json.dump(…, indent=2, ensure_ascii=False) writes it. */
function* conversationsText(rows: Iterable<LabelledImage>): Generator<string> {
  let i = 0;
  for (const { image, text } of rows)
    yield `${i === 0 ? '[' : ','}
  {
    "id": "identity_${++i}",
    "conversations": [
      {
        "role": "user",
        "value": ${JSON.stringify(image)}
      },
      {
        "role": "assistant",
        "value": ${JSON.stringify(text)}
      }
    ]
  }`;
  yield i === 0 ? '[]\n' : '\n]\n';
}

export function writeConversations(file: string, rows: Iterable<LabelledImage>, staging?: string): Promise<void> {
  return writeAtomically(file, conversationsText(rows), staging);
}

const IMAGE_TAG = /<\|vision_start\|>(.*?)<\|vision_end\|>/g;

/**
 * A user's turn: one path, as the tutorial writes it, a list of paths, or text with paths between Qwen's marks, as in
 * "Read: <|vision_start|>a.png<|vision_end|>". Null when the marks are broken.
 */
function readUser(value: string | readonly string[]): Pick<Conversation, 'images' | 'prompt'> | null {
  if (typeof value !== 'string') return { images: value };
  if (!/<\|vision_(start|end)\|>/.test(value)) return { images: [value] };
  const images = Array.from(value.matchAll(IMAGE_TAG), (match) => (match[1] as string).trim());
  const prompt = value.replace(IMAGE_TAG, '').trim();
  if (images.length === 0 || images.includes('') || /<\|vision_(start|end)\|>/.test(prompt)) return null;
  return prompt === '' ? { images } : { images, prompt };
}

/** Reads the conversation JSON; faults are InputErrors that name the entry or the line. */
export async function readConversations(file: string): Promise<Conversation[]> {
  const text = (await readText(file, 'a conversation JSON as `texlens prepare` writes it')).replace(/^\uFEFF/, '');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const where = `${file}:${lineOfFault(text, messageOf(error))}`;
    throw new InputError(`${where}: broken JSON (${messageOf(error)}). Run texlens prepare again, or mend the file.`);
  }
  if (!Array.isArray(json)) throw new InputError(`${file}: not a conversation list; expected a JSON array of entries.`);
  return json.map((value: unknown, i) => {
    const parsed = Entry.safeParse(value);
    if (!parsed.success) {
      throw new InputError(
        `${file}: entry ${i + 1} is not a conversation of user (an image path, or a list of them) and assistant (LaTeX):\n${z.prettifyError(parsed.error)}`,
      );
    }
    const [user, assistant] = parsed.data.conversations;
    if (assistant.value.trim() === '') {
      throw new InputError(
        `${file}: entry ${i + 1}: the label of ${parsed.data.id} is empty; give it a label or drop it.`,
      );
    }
    const read = readUser(user.value);
    if (!read) {
      throw new InputError(
        `${file}: entry ${i + 1}: the image of ${parsed.data.id} is not marked as <|vision_start|>path<|vision_end|>; got ${JSON.stringify(user.value)}.`,
      );
    }
    return { ...read, images: read.images.map((image) => resolved(file, image)), text: assistant.value };
  });
}

/** The line, from 1, that JSON.parse complains of. */
function lineOfFault(text: string, message: string): number {
  const position = /position (\d+)/.exec(message)?.[1];
  const before = position === undefined ? text.trimEnd() : text.slice(0, Number(position));
  return before.split('\n').length;
}

export function writeCsv(file: string, rows: Iterable<LabelledImage>, staging?: string): Promise<void> {
  return writeAtomically(file, csvText(rows), staging);
}

function* csvText(rows: Iterable<LabelledImage>): Generator<string> {
  yield stringify([['image_path', 'text']]);
  // Many at once, for each call reads its options anew.
  let batch: string[][] = [];
  for (const { image, text } of rows) {
    batch.push([image, text]);
    if (batch.length < 256) continue;
    yield stringify(batch);
    batch = [];
  }
  yield stringify(batch);
}

/** Reads the tutorial's CSV; an empty label or image path is an InputError that names the line. */
export async function readCsv(file: string): Promise<LabelledImage[]> {
  const rows = await readLabels(file, { image: 'image_path', text: 'text' });
  for (const { image, text, line } of rows) {
    if (image === '') throw new InputError(`${file}:${line}: the image path is empty; give one or drop the row.`);
    if (text.trim() === '') throw new InputError(`${file}:${line}: the label is empty; give one or drop the row.`);
  }
  return rows.map(({ image, text }) => ({ image, text }));
}

export interface Columns {
  readonly image?: string;
  readonly text?: string;
}

/** A row of a labels file; `image` is '' when the cell is empty. */
export interface LabelRow extends LabelledImage {
  readonly line: number;
}

export const IMAGE_COLUMNS: readonly string[] = ['image_path', 'image', 'file', 'file_name', 'filename', 'path'];
export const TEXT_COLUMNS: readonly string[] = ['text', 'latex', 'label', 'formula'];

/** Reads labels from CSV, TSV or JSONL; columns are found by their usual names or given. Empty cells stay empty. */
export async function readLabels(file: string, columns: Columns = {}): Promise<LabelRow[]> {
  const rows = parseLabels(file, await readText(file, 'labels as CSV, TSV or JSONL'), columns);
  return rows.map((row) => (row.image === '' ? row : { ...row, image: resolved(file, row.image) }));
}

/** The rows of a labels file's text, image paths as they stand; the file's ending says which kind it is. */
export function parseLabels(file: string, source: string, columns: Columns): LabelRow[] {
  const { names, rows } = readTable(file, source);
  if (rows.length === 0) throw new InputError(`${file}: has no rows; expected one for each image.`);
  const column = (given: string | undefined, usual: readonly string[], option: string): string => {
    const name = given ?? usual.find((candidate) => names.includes(candidate));
    if (name !== undefined && names.includes(name)) return name;
    const wanted = given === undefined ? `named ${usual.join(', ')}` : `'${given}'`;
    const has = names.map((candidate) => `'${candidate}'`).join(', ');
    throw new InputError(`${file}: no column ${wanted}; it has ${has || 'none'}. Name one with ${option}.`);
  };
  const image = column(columns.image, IMAGE_COLUMNS, '--image-column');
  const label = column(columns.text, TEXT_COLUMNS, '--text-column');
  return rows.map(({ cells, line }) => ({ image: cells.get(image) ?? '', text: cells.get(label) ?? '', line }));
}

export interface SplitOptions {
  readonly valCount?: number;
  readonly valRatio?: number;
  /** seed of a shuffled split; in order without one */
  readonly shuffleSeed?: number;
}

/** The last rows validate: 4, or valCount, or valRatio of all. At least one row is left for training. */
export function split<T>(
  rows: readonly T[],
  { valCount, valRatio, shuffleSeed }: SplitOptions,
): { train: T[]; val: T[] } {
  const { length } = rows;
  const count = valCount ?? (valRatio === undefined ? Math.min(4, length - 1) : Math.round(valRatio * length));
  if (count >= length) {
    const asked = valCount === undefined ? `--val-ratio ${valRatio}` : `--val-count ${valCount}`;
    throw new InputError(
      `${asked}: would leave nothing to train on; there are only ${length} samples. Ask for at most ${Math.max(0, length - 1)}.`,
    );
  }
  const ordered = shuffleSeed === undefined ? rows.slice() : Random.from(shuffleSeed).shuffled(rows);
  return { train: ordered.slice(0, length - count), val: ordered.slice(length - count) };
}
