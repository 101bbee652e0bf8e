// The journal of finished rows: one JSON line a row, in the order of the rows, appended after their images are in place.
// A process killed at any moment leaves whole lines and perhaps the beginning of one, which is cut off; after a loss of
// power there may be bytes that nobody wrote, and what follows them is cut off too.
import { appendFileSync, closeSync, ftruncateSync, openSync, readSync } from 'node:fs';
import type { Finished } from './inspect.ts';

const READ_BYTES = 1 << 20;
const NEWLINE = 0x0a;

export class Journal {
  /** how many rows are finished */
  length = 0;

  private constructor(private readonly fd: number) {}

  static open(file: string): Journal {
    return new Journal(openSync(file, 'a+'));
  }

  /** Reads the rows of an earlier process as far as `take` agrees to them, and forgets the rest. */
  replay(take: (row: Finished) => boolean): void {
    let kept = 0; // bytes
    for (const line of this.lines()) {
      const row = rowOf(line);
      if (row === undefined || !take(row)) break;
      kept += line.length;
      this.length++;
    }
    ftruncateSync(this.fd, kept);
  }

  append(rows: readonly Finished[]): void {
    appendFileSync(this.fd, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    this.length += rows.length;
  }

  close(): void {
    closeSync(this.fd);
  }

  /** The whole lines, each with its end. */
  private *lines(): Generator<Buffer> {
    const part = Buffer.alloc(READ_BYTES);
    let rest = Buffer.alloc(0);
    for (let at = 0, count = -1; count !== 0; at += count) {
      count = readSync(this.fd, part, 0, READ_BYTES, at);
      const bytes = Buffer.concat([rest, part.subarray(0, count)]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE) + 1; end > 0; end = bytes.indexOf(NEWLINE, start) + 1) {
        yield bytes.subarray(start, end);
        start = end;
      }
      rest = bytes.subarray(start);
    }
  }
}

function rowOf(line: Buffer): Finished | undefined {
  try {
    return JSON.parse(line.toString('utf8')) as Finished;
  } catch {
    return undefined;
  }
}
