// A JSONL file that grows: reading on from where the last reading ended, and the end of a file alone.
import { type FileHandle, open } from 'node:fs/promises';

const CHUNK = 4 << 20;
const NEWLINE = 10;

/** Remembers how far it has read. A last line without its newline is left for later: it may still be being written. */
export class LineReader {
  /** where the next line begins */
  offset = 0;
  constructor(private readonly file: string) {}

  /** Hands over each new whole line and where it begins; a file that is not there has none. */
  async read(take: (line: string, byte: number) => void): Promise<boolean> {
    const handle = await openIfThere(this.file);
    if (!handle) return false;
    const before = this.offset;
    try {
      const { size } = await handle.stat();
      let rest: Buffer = Buffer.alloc(0);
      for (let at = before; at < size; ) {
        const chunk = Buffer.allocUnsafe(Math.min(CHUNK, size - at));
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
        if (bytesRead === 0) break; // it was cut meanwhile
        at += bytesRead;
        const bytes = chunk.subarray(0, bytesRead);
        const buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
        let start = 0;
        for (let end = buffer.indexOf(NEWLINE); end >= 0; end = buffer.indexOf(NEWLINE, start)) {
          if (end > start) take(buffer.toString('utf8', start, end), this.offset + start);
          start = end + 1;
        }
        this.offset += start;
        rest = buffer.subarray(start);
      }
    } finally {
      await handle.close();
    }
    return this.offset > before;
  }
}

export interface LineSlice {
  readonly lines: string[];
  /** give it as `fromByte` to read on */
  readonly nextByte: number;
}

/** Whole lines from a place on, or the last `tail` ones; at most about `limit` bytes are read. */
export async function sliceLines(
  file: string,
  { fromByte, tail, limit = CHUNK }: { fromByte?: number; tail?: number; limit?: number },
): Promise<LineSlice> {
  const handle = await openIfThere(file);
  if (!handle) return { lines: [], nextByte: 0 };
  try {
    const { size } = await handle.stat();
    // From the end, one byte more tells whether the slice begins with a whole line.
    const start = fromByte === undefined ? Math.max(0, size - limit) : Math.min(Math.max(0, fromByte), size);
    const buffer = Buffer.allocUnsafe(Math.min(limit, size - start));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    const bytes = buffer.subarray(0, bytesRead);
    // A line longer than the limit can be no line of ours: step over it.
    const end = bytes.lastIndexOf(NEWLINE) + 1 || (bytesRead === limit ? limit : 0);
    const begin = fromByte === undefined && start > 0 ? bytes.indexOf(NEWLINE) + 1 : 0;
    const lines = bytes.toString('utf8', Math.min(begin, end), end).split('\n').slice(0, -1);
    return { lines: tail === undefined ? lines : lines.slice(Math.max(0, lines.length - tail)), nextByte: start + end };
  } finally {
    await handle.close();
  }
}

async function openIfThere(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
