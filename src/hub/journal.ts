// The record beside a partial file of which of its bytes are there. Lines of JSON: first what is being fetched, then the
// storage's tag and finished ranges as they come; a line cut short by a kill does not count.
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';

/** Bytes from `start` to before `end`. */
export type Range = readonly [start: number, end: number];

export interface Identity {
  readonly size: number;
  /** Content digest, where the hub gives one. */
  readonly digest?: string;
}

export class Journal {
  private constructor(
    private readonly handle: FileHandle,
    /** Sorted and merged, as read when opened. */
    readonly ranges: readonly Range[],
    readonly etag: string | undefined,
  ) {}

  /** Goes on with a journal of the same content, or begins a new one. */
  static async open(file: string, identity: Identity): Promise<Journal> {
    const { ranges, etag } = await readJournal(file, identity);
    const lines = [JSON.stringify(identity), ...(etag === undefined ? [] : [JSON.stringify({ etag })])];
    for (const range of ranges) lines.push(JSON.stringify(range));
    // Written whole: appending after a cut line would spoil the next one.
    await writeFile(`${file}.new`, `${lines.join('\n')}\n`);
    await rename(`${file}.new`, file);
    return new Journal(await open(file, 'a'), ranges, etag);
  }

  async addRange(start: number, end: number): Promise<void> {
    await this.handle.appendFile(`${JSON.stringify([start, end])}\n`);
  }

  async setEtag(etag: string): Promise<void> {
    await this.handle.appendFile(`${JSON.stringify({ etag })}\n`);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

export async function removeJournal(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(`${file}.new`, { force: true });
}

/** What a journal says when it is of this content; nothing otherwise. */
export async function readJournal(file: string, identity: Identity): Promise<{ ranges: Range[]; etag?: string }> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1);
  const ranges: Range[] = [];
  let etag: string | undefined;
  if (lines.shift() !== JSON.stringify(identity)) return { ranges };
  for (const line of lines) {
    try {
      const entry: unknown = JSON.parse(line);
      if (Array.isArray(entry)) {
        const [start, end] = entry as unknown[];
        const valid = Number.isSafeInteger(start) && Number.isSafeInteger(end);
        if (valid && 0 <= (start as number) && (start as number) < (end as number) && (end as number) <= identity.size)
          ranges.push([start as number, end as number]);
      } else if (typeof entry === 'object' && entry !== null && 'etag' in entry) etag = String(entry.etag);
    } catch {
      // A line cut short: its bytes are fetched again.
    }
  }
  return { ranges: merge(ranges), etag };
}

function merge(ranges: readonly Range[]): Range[] {
  const merged: [number, number][] = [];
  for (const [start, end] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** What merged ranges leave out of `size` bytes, in parts of at most `partBytes`. */
export function missingParts(ranges: readonly Range[], size: number, partBytes: number): Range[] {
  const parts: Range[] = [];
  let from = 0;
  for (const [start, end] of [...ranges, [size, size] as const]) {
    for (; from < start; from = Math.min(start, from + partBytes))
      parts.push([from, Math.min(start, from + partBytes)]);
    from = Math.max(from, end);
  }
  return parts;
}

export function countBytes(ranges: readonly Range[]): number {
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}
