// A store of byte strings by key, on disk: appended to, never changed, bounded. Each process appends to files of its own
// (NAME.blobs, and NAME.index with a record for each blob, written after it), so that processes share a folder without
// locks, and one that is killed leaves nothing worse than bytes that no record names.
import { createHash, randomUUID } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../shared/errors.ts';

/** key 16 bytes, offset u64, length u32, check u32 of the blob */
const RECORD_BYTES = 32;
const KEY_BYTES = 16;
/** Files are dropped whole, so they must be small beside the limit. */
const FILE_BYTES = 256 << 20;

interface StoreFile {
  readonly name: string;
  readonly fd: number;
  /** last used, in ms */
  readonly time: number;
  bytes: number;
  used: boolean;
}

interface Place {
  readonly file: StoreFile;
  readonly offset: number;
  readonly length: number;
  readonly check: number;
}

export class BlobStore {
  private readonly places = new Map<string, Place>();
  private readonly files: StoreFile[] = [];
  private own: { readonly file: StoreFile; readonly index: number } | undefined;
  /** why nothing more is kept; what was put stays */
  fault: string | undefined;

  private constructor(
    private readonly folder: string,
    private readonly limit: number,
  ) {}

  /** @param limit bytes of all files; the least recently used are dropped for new ones */
  static open(folder: string, limit: number): BlobStore {
    const store = new BlobStore(folder, limit);
    mkdirSync(folder, { recursive: true });
    const names = readdirSync(folder).filter((name) => name.endsWith('.index'));
    for (const name of names) store.load(name.slice(0, -'.index'.length));
    store.files.sort((a, b) => a.time - b.time);
    store.makeRoom(0);
    return store;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.files.reduce((sum, file) => sum + file.bytes, 0);
  }

  /** The blob of a key (16 bytes); undefined when it is not there, or no longer what was put. */
  get(key: Buffer): Uint8Array | undefined {
    const place = this.places.get(key.toString('latin1'));
    if (place === undefined) return undefined;
    const blob = new Uint8Array(place.length);
    const read = readSync(place.file.fd, blob, 0, place.length, place.offset);
    if (read < place.length || checkOf(blob) !== place.check) {
      this.places.delete(key.toString('latin1'));
      return undefined;
    }
    place.file.used = true;
    return blob;
  }

  /** Keeps a blob; false when there is no room for it beside what this process uses, or on the disk. */
  put(key: Buffer, blob: Uint8Array): boolean {
    if (this.fault !== undefined) return false;
    try {
      if (this.makeRoom(blob.length + RECORD_BYTES)) this.append(key, blob);
      else this.fault = `its ${(this.limit / 1e9).toFixed(1)} GB are in use`;
    } catch (error) {
      this.fault = messageOf(error);
    }
    return this.fault === undefined;
  }

  private append(key: Buffer, blob: Uint8Array): void {
    if (this.own === undefined || this.own.file.bytes > Math.min(FILE_BYTES, this.limit / 8)) this.begin();
    const { file, index } = this.own!;
    const offset = fstatSync(file.fd).size;
    const check = checkOf(blob);
    appendFileSync(file.fd, blob);
    const record = Buffer.alloc(RECORD_BYTES);
    key.copy(record);
    record.writeBigUInt64LE(BigInt(offset), KEY_BYTES);
    record.writeUInt32LE(blob.length, KEY_BYTES + 8);
    record.writeUInt32LE(check, KEY_BYTES + 12);
    appendFileSync(index, record);
    file.bytes += blob.length + RECORD_BYTES;
    this.places.set(key.toString('latin1'), { file, offset, length: blob.length, check });
  }

  close(): void {
    if (this.own !== undefined) closeSync(this.own.index);
    const now = new Date();
    for (const { name, fd, used } of this.files) {
      closeSync(fd);
      // What was used last is dropped last. Another process may have dropped it meanwhile.
      if (used && statSync(this.path(name, 'index'), { throwIfNoEntry: false }))
        utimesSync(this.path(name, 'index'), now, now);
    }
    this.files.length = 0;
    this.places.clear();
  }

  private path(name: string, ending: 'blobs' | 'index'): string {
    return join(this.folder, `${name}.${ending}`);
  }

  private begin(): void {
    if (this.own !== undefined) closeSync(this.own.index);
    const name = randomUUID();
    // The blobs come first: an index without them would be an orphan.
    const fd = openSync(this.path(name, 'blobs'), 'ax+');
    const file = { name, fd, time: Date.now(), bytes: 0, used: true };
    this.own = { file, index: openSync(this.path(name, 'index'), 'ax') };
    this.files.push(file);
  }

  /** Takes in the files of an earlier process; records of blobs that are not whole are passed over. */
  private load(name: string): void {
    let records: Buffer;
    let fd: number;
    const { mtimeMs = 0 } = statSync(this.path(name, 'index'), { throwIfNoEntry: false }) ?? {};
    try {
      records = readFileSync(this.path(name, 'index'));
      fd = openSync(this.path(name, 'blobs'), 'r');
    } catch (error) {
      // Dropped by another process between the listing and here.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    const { size } = fstatSync(fd);
    const file = { name, fd, time: mtimeMs, bytes: size + records.length, used: false };
    this.files.push(file);
    for (let at = 0; at + RECORD_BYTES <= records.length; at += RECORD_BYTES) {
      const offset = Number(records.readBigUInt64LE(at + KEY_BYTES));
      const length = records.readUInt32LE(at + KEY_BYTES + 8);
      const check = records.readUInt32LE(at + KEY_BYTES + 12);
      const key = records.toString('latin1', at, at + KEY_BYTES);
      if (offset + length <= size) this.places.set(key, { file, offset, length, check });
    }
  }

  /** Drops files that this process has not used, oldest first, until `bytes` more fit. */
  private makeRoom(bytes: number): boolean {
    while (this.bytes + bytes > this.limit) {
      const at = this.files.findIndex(({ used }) => !used);
      if (at < 0) return false;
      const [file] = this.files.splice(at, 1);
      for (const [key, place] of this.places) if (place.file === file) this.places.delete(key);
      closeSync(file!.fd);
      for (const ending of ['index', 'blobs'] as const) rmSync(this.path(file!.name, ending), { force: true });
    }
    return true;
  }
}

const checkOf = (blob: Uint8Array): number => createHash('sha256').update(blob).digest().readUInt32LE(0);
