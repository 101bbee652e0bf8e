// safetensors: an 8-byte header length, a JSON header, raw little-endian tensors. Reading streams one tensor at a time.
import { access, type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sizeOf } from '../graph/types.ts';
import { InputError, messageOf, RunError } from '../shared/errors.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './half.ts';

const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
export type StoredType = keyof typeof BYTES;

export interface TensorInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** byte range within the data section */
  readonly start: number;
  readonly end: number;
}

const Entry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

const Header = z.record(z.string(), z.unknown());
const Metadata = z.record(z.string(), z.string());
const MAX_HEADER = 100 * 1024 * 1024;
/** A large tensor is read in parts of this, by as many threads as Node has for files. */
const PART = 32 * 1024 * 1024;

/** One open file. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly dataStart: number,
    readonly header: ReadonlyMap<string, TensorInfo>,
    readonly metadata: Readonly<Record<string, string>>,
  ) {}

  /** Opens a file and checks its header against its size. A damaged file is an InputError that names it. */
  static async open(path: string): Promise<SafetensorsFile> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (error) {
      throw new InputError(`${path}: cannot be opened (${messageOf(error)}); expected a safetensors file.`);
    }
    try {
      const bad = (what: string) =>
        new InputError(`${path}: not a whole safetensors file: ${what}. Fetch or save it again.`);
      const { size } = await handle.stat();
      const head = Buffer.alloc(8);
      if (size < 8 || (await handle.read(head, 0, 8, 0)).bytesRead < 8) throw bad(`it has only ${size} bytes`);
      const length = Number(head.readBigUInt64LE());
      if (length > MAX_HEADER || 8 + length > size) throw bad(`its header says ${length} bytes, the file has ${size}`);
      const text = Buffer.alloc(length);
      await handle.read(text, 0, length, 8);
      let parsed: unknown = null;
      try {
        parsed = JSON.parse(text.toString('utf8'));
      } catch {
        // Told below.
      }
      const object = Header.safeParse(parsed);
      if (!object.success) throw bad('its header is no JSON object');
      const json = object.data;
      const header = new Map<string, TensorInfo>();
      for (const [name, value] of Object.entries(json)) {
        if (name === '__metadata__') continue;
        const entry = Entry.safeParse(value);
        if (!entry.success) throw bad(`the entry of '${name}' is malformed`);
        const { dtype, shape, data_offsets } = entry.data;
        const [start, end] = data_offsets;
        if (end < start || 8 + length + end > size)
          throw bad(`'${name}' ends at byte ${end}, past the end of the data`);
        if (dtype in BYTES && end - start !== sizeOf(shape) * BYTES[dtype as StoredType])
          throw bad(`'${name}' has ${end - start} bytes for ${dtype} [${shape.join(', ')}]`);
        header.set(name, { dtype, shape, start, end });
      }
      let end = 0;
      for (const [name, info] of [...header].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
        if (info.start !== end)
          throw bad(`'${name}' begins at byte ${info.start}, but the tensor before it ends at ${end}`);
        end = info.end;
      }
      if (8 + length + end !== size) throw bad(`${size - 8 - length - end} bytes follow the last tensor`);
      const metadata = Metadata.safeParse(json.__metadata__ ?? {});
      if (!metadata.success) throw bad('its __metadata__ is not a map of strings');
      return new SafetensorsFile(path, handle, 8 + length, header, metadata.data);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** A tensor as float32, row-major. */
  async read(name: string): Promise<Float32Array> {
    const { dtype, bytes } = await this.bytes(name);
    if (dtype === 'F32') return new Float32Array(bytes.buffer);
    const halves = new Uint16Array(bytes.buffer);
    return dtype === 'BF16' ? bf16ToF32(halves) : f16ToF32(halves);
  }

  /** A tensor as the bits of bfloat16, row-major: as stored, or rounded to nearest even. */
  async readBf16(name: string): Promise<Uint16Array> {
    const { dtype, bytes } = await this.bytes(name);
    if (dtype === 'BF16') return new Uint16Array(bytes.buffer);
    return f32ToBf16(dtype === 'F32' ? new Float32Array(bytes.buffer) : f16ToF32(new Uint16Array(bytes.buffer)));
  }

  private async bytes(name: string): Promise<{ dtype: StoredType; bytes: Uint8Array }> {
    const info = this.header.get(name);
    if (!info) throw new InputError(`${this.path}: has no tensor '${name}'.`);
    if (!(info.dtype in BYTES))
      throw new InputError(`${this.path}: '${name}' is ${info.dtype}; expected F32, F16 or BF16.`);
    const bytes = new Uint8Array(info.end - info.start);
    const part = async (from: number): Promise<void> => {
      const end = Math.min(from + PART, bytes.length);
      for (let at = from; at < end; ) {
        const { bytesRead } = await this.handle.read(bytes, at, end - at, this.dataStart + info.start + at);
        if (bytesRead === 0) throw new InputError(`${this.path}: ended within '${name}'.`);
        at += bytesRead;
      }
    };
    await Promise.all(Array.from({ length: Math.ceil(bytes.length / PART) }, (_, n) => part(n * PART)));
    return { dtype: info.dtype as StoredType, bytes };
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

export interface TensorToWrite {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

let writes = 0;

/** Writes a file whole or not at all: a temporary file beside it, synced, then renamed. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  options: { dtype: StoredType; metadata?: Record<string, string> },
): Promise<void> {
  const header: Record<string, unknown> = {};
  if (options.metadata) header.__metadata__ = options.metadata;
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    if (sizeOf(shape) !== data.length)
      throw new RunError(`${path}: '${name}' has ${data.length} values for the shape [${shape.join(', ')}].`);
    const end = offset + data.length * BYTES[options.dtype];
    header[name] = { dtype: options.dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));

  const temporary = `${path}.${process.pid}.${writes++}.tmp`;
  try {
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(Buffer.concat([length, padded]));
      for (const { data } of tensors.values()) {
        const stored = options.dtype === 'F32' ? data : options.dtype === 'BF16' ? f32ToBf16(data) : f32ToF16(data);
        await handle.writeFile(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
    throw new RunError(
      full
        ? `${path}: the disk is full; ${((8 + padded.length + offset) / 2 ** 20).toFixed(1)} MiB were to be written. ` +
            'Free space or choose another folder. What was there before is unchanged.'
        : `${path}: could not be written (${messageOf(error)}). What was there before is unchanged.`,
    );
  }
}

/** The tensors of a snapshot folder: one model.safetensors, or shards with an index. */
export interface Snapshot {
  readonly names: readonly string[];
  info(name: string): TensorInfo;
  read(name: string): Promise<Float32Array>;
  readBf16(name: string): Promise<Uint16Array>;
  close(): Promise<void>;
}

const Index = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

export async function openSnapshot(folder: string): Promise<Snapshot> {
  const indexPath = join(folder, 'model.safetensors.index.json');
  const exists = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  let shards = ['model.safetensors'];
  let map: Record<string, string> | null = null;
  if (await exists(indexPath)) {
    const index = Index.safeParse(
      await readFile(indexPath, 'utf8')
        .then(JSON.parse)
        .catch(() => null),
    );
    if (!index.success) throw new InputError(`${indexPath}: expected JSON with a weight_map from tensor to file.`);
    map = index.data.weight_map;
    shards = [...new Set(Object.values(map))].sort();
    const outside = shards.find((shard) => /[\\/]/.test(shard) || shard === '..');
    if (outside !== undefined)
      throw new InputError(`${indexPath}: the shard '${outside}' is not a file of this folder.`);
  } else if (!(await exists(join(folder, 'model.safetensors'))))
    throw new InputError(
      `${folder}: no model.safetensors and no model.safetensors.index.json; give a model snapshot's folder.`,
    );

  const files: SafetensorsFile[] = [];
  const close = async () => {
    for (const file of files) await file.close();
  };
  const owner = new Map<string, SafetensorsFile>();
  try {
    for (const shard of shards) {
      const file = await SafetensorsFile.open(join(folder, shard));
      files.push(file);
      for (const name of file.header.keys()) if (!map || map[name] === shard) owner.set(name, file);
    }
    const lost = Object.keys(map ?? {}).filter((name) => !owner.has(name));
    if (lost.length > 0)
      throw new InputError(
        `${indexPath}: names tensors that their shards do not hold: ${lost.join(', ')}. Fetch the shards again.`,
      );
  } catch (error) {
    await close();
    throw error;
  }
  const of = (name: string): SafetensorsFile => {
    const file = owner.get(name);
    if (!file) throw new InputError(`${folder}: has no tensor '${name}'.`);
    return file;
  };
  return {
    names: [...owner.keys()],
    info: (name) => of(name).header.get(name) as TensorInfo,
    read: (name) => of(name).read(name),
    readBf16: (name) => of(name).readBf16(name),
    close,
  };
}
