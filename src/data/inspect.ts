// One row from a source to a finished one: its image checked and written, its label checked. Runs on worker threads.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import katex from 'katex';
import { decodeImage } from '../formats/image.ts';
import { encodePng } from '../formats/png.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { normalizeLabel } from './normalize_label.ts';
import type { Drawing, Item, Row, Unusable } from './source.ts';

export interface Kept {
  readonly file: string;
  readonly bytes: number;
  readonly width: number;
  readonly height: number;
  readonly text: string;
  /** a digest of the decoded picture */
  readonly pixels: string;
  /** why KaTeX cannot parse the label */
  readonly invalid?: string;
  /** the label is not as the source has it */
  readonly normalized?: true;
}

export interface Dropped {
  readonly dropped: string;
  readonly detail: string;
}

export type Finished = Kept | Dropped;

export interface InspectOptions {
  /** where images go */
  readonly images: string;
  readonly normalize: boolean;
  readonly dropInvalid: boolean;
}

export const INVALID_LABEL = 'label that KaTeX cannot parse';

/** A page at 600 dpi; what is decoded at once must stay in memory. */
const MAX_PIXELS = 50_000_000;
const MAX_IMAGE_BYTES = 64 << 20;

/** Finishes one row; its image becomes `name`.png or .jpg: PNG and JPEG bytes as they are, others as PNG. */
export async function inspect(item: Item, name: string, options: InspectOptions): Promise<Finished> {
  const row = 'draw' in item ? await drawn(item) : item;
  if ('unusable' in row) return { dropped: row.unusable, detail: `${row.where}: ${row.detail}` };
  const drop = (dropped: string, detail: string): Dropped => ({ dropped, detail: `${row.where}: ${detail}` });
  const text = options.normalize ? normalizeLabel(row.text) : row.text;
  if (text.trim() === '') return drop('empty label', typeof row.image === 'string' ? row.image : 'an image');
  const invalid = parseFault(text);
  if (invalid !== undefined && options.dropInvalid) return drop(INVALID_LABEL, invalid);
  let bytes: Uint8Array;
  try {
    bytes = typeof row.image === 'string' ? await readImage(row.image) : row.image;
  } catch (error) {
    return drop(
      'image file not readable',
      `${typeof row.image === 'string' ? row.image : 'image'}: ${messageOf(error)}`,
    );
  }
  if (bytes.length > MAX_IMAGE_BYTES) return drop('not a readable image', `${bytes.length} bytes, more than 64 MiB`);
  try {
    const source = typeof row.image === 'string' ? row.image : 'image';
    const { width, height, rgb } = await decodeImage(bytes, source, MAX_PIXELS);
    const pixels = createHash('sha256').update(`${width} ${height} `).update(rgb).digest('base64url').slice(0, 22);
    const ending = endingOf(bytes);
    const out = ending === undefined ? await asPng(bytes) : bytes;
    const file = `${name}.${ending ?? 'png'}`;
    // Synchronous, for a worker has nothing else to do and promises of file work take twice the time.
    // A kill may leave it cut; its row is then not in the journal, and is finished once more.
    writeFileSync(`${options.images}/${file}`, out);
    const flags = { ...(invalid && { invalid }), ...(text !== row.text && { normalized: true as const }) };
    return { file, bytes: out.length, width, height, text, pixels, ...flags };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return drop('not a readable image', messageOf(error));
  }
}

async function asPng(bytes: Uint8Array): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  return sharp(bytes, { pages: 1 }).png().toBuffer();
}

/** A labels file may name anything, also a device without end. */
async function readImage(path: string): Promise<Uint8Array> {
  const info = await stat(path);
  if (!info.isFile()) throw new Error('it is no file');
  if (info.size > MAX_IMAGE_BYTES) throw new Error(`${info.size} bytes, more than 64 MiB`);
  return readFile(path);
}

async function drawn({ draw, index }: Drawing): Promise<Row | Unusable> {
  // Loaded when first drawn: typesetting brings fonts.
  const { drawLine } = await import('./synthetic/sample.ts');
  const sample = await drawLine(draw, index);
  const where = `formula ${index + 1}`;
  if ('fault' in sample) return { where, unusable: sample.fault, detail: sample.detail };
  return { where, image: encodePng(sample), text: sample.latex };
}

/** KaTeX's parser alone, which takes a tenth of the time of rendering. */
const { __parse: parse } = katex as unknown as { __parse: (latex: string, options: katex.KatexOptions) => unknown };

/** Why KaTeX cannot parse a label. */
function parseFault(latex: string): string | undefined {
  try {
    parse(latex, { displayMode: true, throwOnError: true, strict: false, trust: true });
    return undefined;
  } catch (error) {
    return messageOf(error).replace(/^KaTeX parse error: /, '');
  }
}

function endingOf(bytes: Uint8Array): 'png' | 'jpg' | undefined {
  const starts = (...magic: readonly number[]): boolean => magic.every((byte, i) => bytes[i] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47)) return 'png';
  return starts(0xff, 0xd8, 0xff) ? 'jpg' : undefined;
}
