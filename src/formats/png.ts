// Small PNG files on node:zlib: a writer (8-bit grey or RGB) whose bytes are the same on every thread, and a reader of
// the plain kinds, which takes a third of the time that a trip through sharp does.
import { deflateSync, inflateSync } from 'node:zlib';
import { crc32 } from '../shared/crc32.ts';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** 8-bit pixels [height, width, channels], grey or RGB. */
export interface Pixels {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
}

export function encodePng({ pixels, width, height, channels }: Pixels): Buffer {
  const row = width * channels;
  const raw = Buffer.alloc((row + 1) * height);
  for (let y = 0; y < height; y++) {
    // Filter 0 (none): formulas are mostly flat paper.
    raw.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  header[9] = channels === 1 ? 0 : 2;
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(raw, { level: 3 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(name: string, data: Buffer): Buffer {
  const out = Buffer.alloc(data.length + 12);
  out.writeUInt32BE(data.length, 0);
  out.write(name, 4, 'latin1');
  data.copy(out, 8);
  out.writeUInt32BE(crc32(out.subarray(4, data.length + 8)), data.length + 8);
  return out;
}

export interface PngPixels {
  readonly width: number;
  readonly height: number;
  /** interleaved, 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels of 8 bits */
  readonly data: Uint8Array;
  readonly channels: 1 | 2 | 3 | 4;
}

/** Larger pictures are left to sharp, which decodes them beside the program. */
const MAX_PIXELS = 1 << 20;
/** The least that node:zlib takes for the size of a piece. */
const MIN_CHUNK = 64;
const CHANNELS: Readonly<Record<number, PngPixels['channels']>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/**
 * The pixels of a small PNG of at most 8 bits a channel, without interlacing or colour-key transparency; null for every
 * other file and for one that is damaged, which the caller's other decoder then judges.
 */
export function decodePng(bytes: Uint8Array): PngPixels | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (file.length < 57 || !file.subarray(0, 8).equals(SIGNATURE)) return null;
  const parts: Buffer[] = [];
  let palette: Buffer | null = null;
  let at = 8;
  for (let name = ''; name !== 'IEND'; ) {
    if (at + 12 > file.length) return null;
    const length = file.readUInt32BE(at);
    const end = at + 8 + length;
    if (end + 4 > file.length) return null;
    name = file.toString('latin1', at + 4, at + 8);
    if (crc32(file.subarray(at + 4, end)) !== file.readUInt32BE(end)) return null;
    if (name === 'tRNS' || (name === 'IHDR') !== (at === 8)) return null;
    if (name === 'PLTE') palette = file.subarray(at + 8, end);
    if (name === 'IDAT') parts.push(file.subarray(at + 8, end));
    at = end + 4;
  }
  const [width, height] = [file.readUInt32BE(16), file.readUInt32BE(20)];
  const [bits, kind] = [file[24]!, file[25]!];
  const channels = CHANNELS[kind];
  const plain = file[26] === 0 && file[27] === 0 && file[28] === 0;
  if (!plain || channels === undefined || width * height === 0 || width * height > MAX_PIXELS) return null;
  if (!(bits === 8 || ((bits === 1 || bits === 2 || bits === 4) && channels === 1))) return null;
  if ((kind === 3) !== (palette !== null) && kind !== 2 && kind !== 6) return null;
  const stride = Math.ceil((width * channels * bits) / 8);
  let raw: Buffer;
  try {
    // In one piece, with a little room by which data that is too long shows.
    const room = (stride + 1) * height + MIN_CHUNK;
    raw = inflateSync(parts.length === 1 ? parts[0]! : Buffer.concat(parts), {
      chunkSize: room,
      maxOutputLength: room,
    });
  } catch {
    return null;
  }
  if (raw.length !== (stride + 1) * height) return null;
  const rows = unfiltered(raw, stride, height, Math.max(1, (channels * bits) / 8));
  if (rows === null) return null;
  const data = bits === 8 ? rows : unpacked(rows, width, height, stride, bits, kind === 0);
  if (kind !== 3) return { width, height, data, channels };
  const rgb = painted(data, palette!);
  return rgb && { width, height, data: rgb, channels: 3 };
}

/**
 * Undoes the filters of the rows (PNG specification, section 9) in place, closing the gaps of the filter bytes; `step` is
 * a pixel in bytes. Null for a filter that is none.
 */
function unfiltered(raw: Buffer, stride: number, height: number, step: number): Uint8Array | null {
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1) + 1; // always ahead of `to`
    const to = y * stride;
    const up = to - stride;
    const filter = raw[from - 1]!;
    if (filter > 4) return null;
    // What lies outside counts as 0: in the first row, Up is None and Paeth is Sub.
    if (filter === 0 || (filter === 2 && y === 0)) raw.copyWithin(to, from, from + stride);
    else if (filter === 1 || (filter === 4 && y === 0)) {
      for (let x = 0; x < step; x++) raw[to + x] = raw[from + x]!;
      for (let x = step; x < stride; x++) raw[to + x] = raw[from + x]! + raw[to + x - step]!;
    } else if (filter === 2) for (let x = 0; x < stride; x++) raw[to + x] = raw[from + x]! + raw[up + x]!;
    else if (filter === 3) average(raw, from, to, y === 0 ? -1 : up, stride, step);
    else paeth(raw, from, to, up, stride, step);
  }
  return new Uint8Array(raw.buffer, raw.byteOffset, stride * height);
}

/** `up` below 0: there is no row above. */
function average(raw: Buffer, from: number, to: number, up: number, stride: number, step: number): void {
  for (let x = 0; x < stride; x++) {
    const left = x < step ? 0 : raw[to + x - step]!;
    const above = up < 0 ? 0 : raw[up + x]!;
    raw[to + x] = raw[from + x]! + ((left + above) >> 1);
  }
}

function paeth(raw: Buffer, from: number, to: number, up: number, stride: number, step: number): void {
  for (let x = 0; x < step; x++) raw[to + x] = raw[from + x]! + raw[up + x]!;
  for (let x = step; x < stride; x++) {
    const left = raw[to + x - step]!;
    const above = raw[up + x]!;
    const corner = raw[up + x - step]!;
    // The neighbour nearest to left + above − corner.
    const p = above - corner;
    const q = left - corner;
    const a = Math.abs(p);
    const b = Math.abs(q);
    const c = Math.abs(p + q);
    raw[to + x] = raw[from + x]! + (a <= b && a <= c ? left : b <= c ? above : corner);
  }
}

/** Samples of 1, 2 or 4 bits as bytes; grey ones are spread over the range. */
function unpacked(
  rows: Uint8Array,
  width: number,
  height: number,
  stride: number,
  bits: number,
  grey: boolean,
): Uint8Array {
  const out = new Uint8Array(width * height);
  const most = (1 << bits) - 1;
  const scale = grey ? 255 / most : 1;
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const bit = x * bits;
      out[to++] = ((rows[y * stride + (bit >> 3)]! >> (8 - bits - (bit & 7))) & most) * scale;
    }
  return out;
}

/** RGB of palette indices; null when one lies outside. */
function painted(indices: Uint8Array, palette: Uint8Array): Uint8Array | null {
  const out = new Uint8Array(indices.length * 3);
  for (let i = 0, to = 0; i < indices.length; i++) {
    const from = indices[i]! * 3;
    if (from + 3 > palette.length) return null;
    out[to++] = palette[from]!;
    out[to++] = palette[from + 1]!;
    out[to++] = palette[from + 2]!;
  }
  return out;
}
