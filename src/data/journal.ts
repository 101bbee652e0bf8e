// The journal of finished rows: one JSON line a row, in the order of the rows, appended after their images are in place.
// A process killed at any moment leaves whole lines and perhaps the beginning of one, which is cut off.
import { appendFileSync, closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import type { Finished } from './inspect.ts';

const READ_BYTES = 1 << 20;
const NEWLINE = 0x0a;

export class Journal {
  /** where the line of each row ends */
  private readonly ends: number[] = [];

  private constructor(private readonly fd: number) {}

  static open(file: string): Journal {
    const journal = new Journal(openSync(file, 'a+'));
    journal.index();
    return journal;
  }

  /** How many rows are finished. */
  get length(): number {
    return this.ends.length;
  }

  append(rows: readonly Finished[]): void {
    const lines = rows.map((row) => Buffer.from(`${JSON.stringify(row)}\n`));
    appendFileSync(this.fd, Buffer.concat(lines));
    for (const line of lines) this.ends.push((this.ends.at(-1) ?? 0) + line.length);
  }

  at(row: number): Finished {
    const start = this.ends[row - 1] ?? 0;
    const bytes = Buffer.alloc(this.ends[row]! - start);
    readSync(this.fd, bytes, 0, bytes.length, start);
    return JSON.parse(bytes.toString('utf8')) as Finished;
  }

  /** Forgets the rows from number `length` on. */
  cut(length: number): void {
    this.ends.length = length;
    ftruncateSync(this.fd, this.ends.at(-1) ?? 0);
  }

  close(): void {
    closeSync(this.fd);
  }

  private index(): void {
    const bytes = Buffer.alloc(READ_BYTES);
    const { size } = fstatSync(this.fd);
    for (let start = 0; start < size; start += READ_BYTES) {
      const part = bytes.subarray(0, readSync(this.fd, bytes, 0, READ_BYTES, start));
      for (let at = part.indexOf(NEWLINE); at >= 0; at = part.indexOf(NEWLINE, at + 1)) this.ends.push(start + at + 1);
    }
    this.cut(this.ends.length);
  }
}
