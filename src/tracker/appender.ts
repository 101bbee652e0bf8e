// A file that only grows: pushes cost nothing, flushes write what has gathered, and a full disk is no error but told
// once and tried again. Bytes go to a known place in the file, so that a write cut short is simply done again.
import { closeSync, constants, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { messageOf } from '../shared/errors.ts';

/** More than this is not kept waiting for a disk to come back. */
const MOST_WAITING = 32 << 20;
const CHUNK = 64 << 10;

export class Appender {
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private flushing: Promise<void> | null = null;
  /** pieces that found no room any more */
  lost = 0;

  private constructor(
    readonly file: string,
    private readonly handle: FileHandle,
    private length: number,
    private readonly failed: (message: string) => void,
  ) {}

  /** Opens a file to append to. With `lines`, a last line that was cut short is cut off; else the file is emptied. */
  static async open(file: string, mode: 'lines' | 'new', failed: (message: string) => void): Promise<Appender> {
    const handle = await open(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW);
    try {
      const length = mode === 'new' ? 0 : await wholeLines(handle);
      await handle.truncate(length);
      return new Appender(file, handle, length, failed);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  push(piece: string | Uint8Array): void {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    if (this.waitingBytes + bytes.length > MOST_WAITING) {
      this.lost++;
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
  }

  /** Writes everything pushed before the call; never throws. */
  async flush(): Promise<void> {
    await this.flushing;
    if (this.waiting.length === 0) return;
    this.flushing ??= this.write();
    await this.flushing;
  }

  private async write(): Promise<void> {
    const pieces = this.waiting.length;
    const bytes = Buffer.concat(this.waiting);
    try {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await this.handle.write(bytes, done, bytes.length - done, this.length + done);
        done += bytesWritten;
      }
      this.length += bytes.length;
      this.waiting.splice(0, pieces);
      this.waitingBytes -= bytes.length;
    } catch (error) {
      this.failed(`${this.file}: cannot be written (${messageOf(error)}); trying again as the run goes on`);
    } finally {
      this.flushing = null;
    }
  }

  /** For the exit of the process: writes all that waits, what is under way included, and closes. */
  closeSync(): void {
    const bytes = Buffer.concat(this.waiting);
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.handle.fd, bytes, done, bytes.length - done, this.length + done);
      closeSync(this.handle.fd);
    } catch {
      // The process ends; what was written before is whole.
    }
    this.waiting = [];
  }

  async close(): Promise<void> {
    await this.flush();
    this.lost += this.waiting.length;
    if (this.lost > 0) this.failed(`${this.file}: ${this.lost} pieces found no room on the disk and are lost`);
    await this.handle.close();
  }
}

/** The length of a file up to its last newline. */
async function wholeLines(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const buffer = Buffer.alloc(CHUNK);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const newline = buffer.subarray(0, bytesRead).lastIndexOf(10);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}
