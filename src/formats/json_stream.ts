// Values of large JSON files one after another: the lines of JSONL, and the elements of one array. The bytes are cut at
// the values' ends and each is parsed by JSON.parse, so memory holds one value at a time.
import { createReadStream } from 'node:fs';
import { InputError, messageOf } from '../shared/errors.ts';

export interface JsonValue {
  readonly value: unknown;
  /** where it starts in the file, from 1 */
  readonly line: number;
}

/** A value above this is refused before memory is. */
const MAX_VALUE_BYTES = 256 << 20;
const [QUOTE, BACKSLASH, NEWLINE, COMMA] = [0x22, 0x5c, 0x0a, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** The lines of a JSONL file; blank ones are passed over. */
export async function* jsonLines(path: string): AsyncGenerator<JsonValue> {
  for await (const { text, line } of pieces(path, (bytes, from) => bytes.indexOf(NEWLINE, from)))
    if (text.trim() !== '') yield { value: parse(path, line, text, 'one object on each line'), line };
}

/** The elements of a JSON array. */
export async function* jsonElements(path: string): AsyncGenerator<JsonValue> {
  let state: 'before' | 'inside' | 'after' = 'before';
  let count = 0;
  for await (const { text, line, end } of pieces(path, arrayCuts())) {
    const blank = text.replace(/^\uFEFF/, '').trim() === '';
    if (state === 'inside' && (end === COMMA || end === CLOSE_LIST)) {
      if (!(blank && end === CLOSE_LIST && count === 0))
        yield { value: parse(path, line, text, 'a JSON array of entries'), line };
      count++;
      if (end === CLOSE_LIST) state = 'after';
    } else if (state === 'before' && blank && end === OPEN_LIST) state = 'inside';
    else if (state !== 'after' || !blank || end !== undefined)
      throw new InputError(
        `${path}:${line}: broken JSON; expected one whole array, [entry, entry, …]. Mend the file or fetch it again.`,
      );
  }
}

/** Finds where an array opens, its commas outside of all nested values, and where it closes. */
function arrayCuts(): (bytes: Buffer, from: number) => number {
  let depth = 0;
  let inText = false;
  let escaped = false;
  return (bytes, from) => {
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (inText) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inText = false;
      } else if (byte === QUOTE) inText = true;
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        if (depth++ === 0) return i;
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        if (--depth === 0) return i;
      } else if (byte === COMMA && depth === 1) return i;
    }
    return -1;
  };
}

interface Piece {
  readonly text: string;
  /** of its first character that is not white */
  readonly line: number;
  /** the byte that it was cut at, which is left out; undefined at the file's end */
  readonly end: number | undefined;
}

/** A file's text, cut where `cut` says. */
async function* pieces(path: string, cut: (bytes: Buffer, from: number) => number): AsyncGenerator<Piece> {
  let kept: Buffer[] = [];
  let held = 0;
  let line = 1;
  const piece = (last: Buffer, end: number | undefined): Piece => {
    const text = Buffer.concat([...kept, last]).toString('utf8');
    const lines = (part: string): number => part.split('\n').length - 1;
    const start = line + lines(/^\s*/.exec(text)![0]);
    line += lines(text) + (end === NEWLINE ? 1 : 0);
    kept = [];
    held = 0;
    return { text, line: start, end };
  };
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      let from = 0;
      for (let at = cut(chunk, from); at >= 0; at = cut(chunk, from)) {
        yield piece(chunk.subarray(from, at), chunk[at]);
        from = at + 1;
      }
      kept.push(chunk.subarray(from));
      held += chunk.length - from;
      if (held > MAX_VALUE_BYTES) throw new InputError(`${path}: holds a value above 256 MiB; is it the right file?`);
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: cannot be read (${messageOf(error)}); expected a JSON file.`);
  }
  yield piece(Buffer.alloc(0), undefined);
}

function parse(path: string, line: number, text: string, expected: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new InputError(`${path}:${line}: broken JSON (${messageOf(error)}); expected ${expected}.`);
  }
}
