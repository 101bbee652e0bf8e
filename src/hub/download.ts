// Downloads one file: parts over several connections, resumable after any interruption, checked against the hub's sum,
// and in place under its name only when whole.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RunError } from '../shared/errors.ts';
import { type Answer, type Client, Passing } from './http.ts';
import { countBytes, type Identity, Journal, missingParts, type Range, readJournal, removeJournal } from './journal.ts';
import { JOURNAL, PARTIAL } from './names.ts';
import type { Digest, RemoteFile } from './repo.ts';

export interface Transfer {
  readonly client: Client;
  /** Runs a task when a connection is free. */
  readonly slot: <T>(task: () => Promise<T>) => Promise<T>;
  /** Bytes that came; negative when some must come again. */
  readonly count: (bytes: number) => void;
}

const ATTEMPTS = 3;
const WRITE_BYTES = 1 << 20;
const SMALL_BYTES = 256 << 10;
/** Bytes or time between two lines of the journal: what a kill may cost each connection. */
const JOURNAL_BYTES = 8 << 20;
const JOURNAL_MS = 1000;

/** Small enough to spread over the connections and large enough to be worth a request. */
function partBytes(size: number): number {
  return Math.min(64 << 20, Math.max(SMALL_BYTES, Math.ceil(size / 8)));
}

/** The bytes of a file that an earlier run left behind. */
export async function bytesThere(file: RemoteFile, target: string): Promise<number> {
  const partial = await stat(target + PARTIAL).catch(() => undefined);
  if (file.size === undefined || partial === undefined) return 0;
  const { ranges, etag } = await readJournal(target + JOURNAL, identityOf(file, file.size));
  // Without a sum and a tag nothing says that the rest would belong to these bytes.
  if (file.digest === undefined && etag === undefined) return 0;
  return partial.size < (ranges.at(-1)?.[1] ?? 0) ? 0 : countBytes(ranges);
}

/** True when the target is there, of the right size and with the right sum. */
export async function isWhole(file: RemoteFile, target: string): Promise<boolean> {
  const info = await stat(target).catch(() => undefined);
  if (!info?.isFile() || (file.size !== undefined && info.size !== file.size)) return false;
  if (file.digest === undefined) return file.size !== undefined;
  return (await digestOf(target, file.digest.kind, info.size)) === file.digest.hex;
}

export async function downloadFile(file: RemoteFile, target: string, transfer: Transfer): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  // A small file is quicker fetched again than kept account of.
  let ranges = (file.size ?? 0) > SMALL_BYTES;
  for (let attempt = 1; ; ) {
    const fault = await new Attempt(file, target, transfer, ranges).run();
    if (fault === undefined) break;
    await clearPartial(target);
    if (fault === NO_RANGES) ranges = false;
    else if (attempt++ === ATTEMPTS)
      throw new RunError(`${fault}, ${ATTEMPTS} times in a row; try again later, or another endpoint.`);
  }
  // The name comes before the journal goes: a kill between the two leaves a whole file.
  await rename(target + PARTIAL, target);
  await removeJournal(target + JOURNAL);
}

/** Removes what a download in progress leaves beside its target. */
export async function clearPartial(target: string): Promise<void> {
  await rm(target + PARTIAL, { force: true });
  await removeJournal(target + JOURNAL);
}

const NO_RANGES = 'the server sends the whole file whatever part is asked';

/** What is there is of no use; the message says why. */
class Useless extends Error {}

class Attempt {
  private readonly stop = new AbortController();
  private readonly client: Client;
  private handle!: FileHandle;
  private journal: Journal | undefined;
  private etag: string | undefined;
  private counted = 0;

  constructor(
    private readonly file: RemoteFile,
    private readonly target: string,
    private readonly transfer: Transfer,
    private readonly ranges: boolean,
  ) {
    const { client } = transfer;
    this.client = client.withSignal(AbortSignal.any([this.stop.signal, ...(client.signal ? [client.signal] : [])]));
  }

  /** Fetches what is missing; says what is wrong with the result, or undefined. */
  async run(): Promise<string | undefined> {
    const { size, digest } = this.file;
    const partial = this.target + PARTIAL;
    const before = this.ranges ? await bytesThere(this.file, this.target) : 0;
    if (before === 0) await removeJournal(this.target + JOURNAL);
    this.handle = await open(partial, before === 0 ? 'w+' : 'r+');
    try {
      const end = this.ranges ? await this.parts(size!) : await this.transfer.slot(() => this.whole());
      await this.handle.truncate(end);
      await this.handle.sync();
    } catch (error) {
      if (!(error instanceof Useless)) throw error;
      this.count(-this.counted);
      return error.message;
    } finally {
      await this.journal?.close();
      await this.handle.close();
    }
    if (digest === undefined) return undefined;
    const hex = await digestOf(partial, digest.kind, (await stat(partial)).size);
    if (hex === digest.hex) return undefined;
    this.count(-this.counted);
    return `the content's ${digest.kind === 'git' ? 'git sha1' : 'sha256'} is ${hex}, the hub says ${digest.hex}`;
  }

  private async parts(size: number): Promise<number> {
    this.journal = await Journal.open(this.target + JOURNAL, identityOf(this.file, size));
    this.etag = this.journal.etag;
    this.counted = countBytes(this.journal.ranges);
    const parts = missingParts(this.journal.ranges, size, partBytes(size)).map((part) =>
      this.transfer
        .slot(() => this.part(part, size))
        .catch((error: unknown) => {
          this.stop.abort(error);
          throw error;
        }),
    );
    // All must have ended before the file is closed; the first failure is what stopped the others.
    const settled = await Promise.allSettled(parts);
    if (settled.some(({ status }) => status === 'rejected')) throw this.stop.signal.reason;
    return size;
  }

  private async part([start, end]: Range, size: number): Promise<void> {
    const cursor = { position: start };
    await this.client.retry(
      async () => {
        const asked = cursor.position;
        const answer = await this.client.open(this.file.url, { range: `bytes=${asked}-${end - 1}` });
        try {
          const all = asked === 0 && end === size;
          if (answer.status === 200 && !all) throw new Useless(NO_RANGES);
          if (answer.status !== 200) checkRange(answer, asked, end, size);
          checkPlain(answer);
          await this.checkTag(answer);
          await this.receive(answer, cursor, end);
        } finally {
          answer.body.destroy();
        }
      },
      () => cursor.position,
    );
  }

  /** The file in one piece, from its start at every try; returns its size. */
  private whole(): Promise<number> {
    return this.client.retry(async () => {
      this.count(-this.counted);
      const answer = await this.client.open(this.file.url);
      try {
        const { 'content-length': length, 'transfer-encoding': transfer } = answer.headers;
        const { size = length === undefined ? undefined : Number(length) } = this.file;
        checkPlain(answer);
        if (answer.status !== 200 || (size === undefined && transfer !== 'chunked'))
          throw new RunError(`${answer.url.host} answered ${answer.status} without saying where the file ends.`);
        if (length !== undefined && Number(length) !== size) throw new Useless(otherSize(answer, length, size));
        const cursor = { position: 0 };
        await this.receive(answer, cursor, size);
        return cursor.position;
      } finally {
        answer.body.destroy();
      }
    });
  }

  private async checkTag({ etag }: Answer): Promise<void> {
    if (etag === undefined || etag === this.etag) return;
    if (this.etag !== undefined) throw new Useless('the file changed on the hub while it was fetched');
    this.etag = etag;
    await this.journal?.setEtag(etag);
  }

  /** Writes a body from the cursor on to `end`, or to the body's own end; the cursor tells how far it came. */
  private async receive(answer: Answer, cursor: { position: number }, end?: number): Promise<void> {
    let chunks: Uint8Array[] = [];
    let held = 0;
    let noted = cursor.position;
    let notedAt = performance.now();
    const write = async (): Promise<void> => {
      if (held > 0) await writeAll(this.handle, chunks, cursor.position, held);
      cursor.position += held;
      chunks = [];
      held = 0;
    };
    const note = async (): Promise<void> => {
      await write();
      if (this.journal === undefined || noted === cursor.position) return;
      // The bytes reach the disk before the line that says so, for a loss of power too.
      await this.handle.datasync();
      await this.journal.addRange(noted, cursor.position);
      noted = cursor.position;
      notedAt = performance.now();
    };
    try {
      for await (const chunk of this.chunks(answer)) {
        if (end !== undefined && cursor.position + held + chunk.length > end)
          throw new Passing(`${answer.url.host} sent more than was asked`);
        chunks.push(chunk);
        held += chunk.length;
        this.count(chunk.length);
        if (held >= WRITE_BYTES) await write();
        const due = cursor.position - noted >= JOURNAL_BYTES || performance.now() - notedAt >= JOURNAL_MS;
        if (due) await note();
      }
      if (end !== undefined && cursor.position + held < end) throw new Passing(`${answer.url.host} cut the connection`);
    } catch (error) {
      if (error instanceof Passing) await note();
      throw error;
    }
    await note();
  }

  /** A body's bytes; its failures, and no others, become the connection's. */
  private async *chunks(answer: Answer): AsyncGenerator<Uint8Array> {
    try {
      yield* answer.body as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw this.client.passing(answer.url, error);
    }
  }

  private count(bytes: number): void {
    this.counted += bytes;
    this.transfer.count(bytes);
  }
}

function identityOf({ digest }: RemoteFile, size: number): Identity {
  return { size, digest: digest?.hex };
}

/** Only the very bytes that were asked for may be written where they were asked for. */
function checkRange(answer: Answer, start: number, end: number, size: number): void {
  const { status, headers, url } = answer;
  const told = headers['content-range'] ?? 'none';
  const total = /\/(\d+)$/.exec(told)?.[1];
  if (total !== undefined && Number(total) !== size) throw new Useless(otherSize(answer, total, size));
  const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(told) ?? [];
  if (status !== 206 || Number(from) !== start || !(Number(to) < end))
    throw new Passing(`${url.host} sent status ${status} and range "${told}" for bytes ${start}-${end - 1}/${size}`);
}

function checkPlain({ headers, url }: Answer): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new RunError(`${url.host} sends the file ${encoding}-compressed; expected it as it is.`);
}

function otherSize({ url }: Answer, found: string, listed: number | undefined): string {
  return `${url.host} has a file of ${found} bytes, the hub lists ${listed}`;
}

async function writeAll(handle: FileHandle, chunks: Uint8Array[], position: number, bytes: number): Promise<void> {
  const { bytesWritten } = await handle.writev(chunks, position);
  // A disk that fills up may take a part; the next write says so by its error.
  for (let done = bytesWritten; done < bytes; )
    done += (await handle.write(Buffer.concat(chunks), done, bytes - done, position + done)).bytesWritten;
}

async function digestOf(path: string, kind: Digest['kind'], size: number): Promise<string> {
  const hash = createHash(kind === 'git' ? 'sha1' : 'sha256');
  if (kind === 'git') hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: WRITE_BYTES })) {
    hash.update(chunk as Buffer);
    await nextTurn(); // The other downloads go on.
  }
  return hash.digest('hex');
}

/** The size of a file that the listing does not tell: of one byte asked for, the storage says "of how many". */
export async function askSize(client: Client, url: string): Promise<number | undefined> {
  return client.retry(async () => {
    const { status, headers, body } = await client.open(url, { range: 'bytes=0-0' });
    body.destroy();
    const told = status === 200 ? headers['content-length'] : /\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
    return told === undefined ? undefined : Number(told);
  });
}
