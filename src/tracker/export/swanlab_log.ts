// The file run-ID.swanlab: protobuf records (swanlab.record.v1) in the framing of LevelDB's log, with SwanLab's own
// header and plain CRC-32; the SDK 0.8 to 0.10 writes it so and `swanlab sync` reads it.
import protobuf from 'protobufjs';
import { crc32 } from '../../shared/crc32.ts';

const BLOCK = 32768;
const HEADER = 7;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];

/** `:SWL`, 0xE1D6, version 2; it counts inside the first block. */
export const FILE_HEADER = Uint8Array.of(0x3a, 0x53, 0x57, 0x4c, 0xd6, 0xe1, 2);

/** Cuts payloads into checked chunks; it must see every payload of a file in turn, since blocks count from its start. */
export class Framer {
  private position = FILE_HEADER.length;

  frame(payload: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    let start = 0;
    let first = true;
    do {
      let room = BLOCK - (this.position % BLOCK);
      if (room < HEADER) {
        parts.push(new Uint8Array(room));
        this.position += room;
        room = BLOCK;
      }
      const end = Math.min(payload.length, start + room - HEADER);
      const whole = end === payload.length;
      const type = first ? (whole ? FULL : FIRST) : whole ? LAST : MIDDLE;
      const chunk = Buffer.alloc(HEADER + end - start);
      chunk.writeUInt16LE(end - start, 4);
      chunk[6] = type as number;
      chunk.set(payload.subarray(start, end), HEADER);
      // The sum is over type and data, which lie side by side.
      chunk.writeUInt32LE(crc32(chunk.subarray(6)), 0);
      parts.push(chunk);
      this.position += chunk.length;
      start = end;
      first = false;
    } while (start < payload.length);
    return Buffer.concat(parts);
  }
}

const fields = (list: Record<string, readonly [id: number, type: string]>, repeated: readonly string[] = []) => ({
  fields: Object.fromEntries(
    Object.entries(list).map(([name, [id, type]]) => [
      name,
      { id, type, ...(repeated.includes(name) ? { rule: 'repeated' } : {}) },
    ]),
  ),
});

const RecordType = protobuf.Root.fromJSON({
  nested: {
    Timestamp: fields({ seconds: [1, 'int64'], nanos: [2, 'int32'] }),
    Start: fields(
      {
        project: [1, 'string'],
        workspace: [2, 'string'],
        name: [4, 'string'],
        description: [5, 'string'],
        tags: [6, 'string'],
        id: [10, 'string'],
        startedAt: [12, 'Timestamp'],
      },
      ['tags'],
    ),
    Finish: fields({ state: [1, 'int32'], error: [2, 'string'], finishedAt: [3, 'Timestamp'] }),
    // Bounds are written though they be 0.
    YRange: {
      ...fields({ min: [1, 'double'], max: [2, 'double'] }),
      oneofs: { _min: { oneof: ['min'] }, _max: { oneof: ['max'] } },
    },
    Column: fields({
      class: [1, 'int32'],
      type: [2, 'int32'],
      key: [3, 'string'],
      name: [4, 'string'],
      sectionName: [5, 'string'],
      sectionType: [6, 'int32'],
      yRange: [7, 'YRange'],
      chartIndex: [8, 'string'],
      chartName: [9, 'string'],
      chartType: [10, 'int32'],
      metricName: [11, 'string'],
    }),
    Number: fields({ number: [1, 'double'] }),
    Scalar: fields({
      key: [1, 'string'],
      step: [2, 'int64'],
      type: [3, 'int32'],
      timestamp: [4, 'Timestamp'],
      value: [5, 'Number'],
    }),
    MediaItem: fields({ filename: [1, 'string'], sha256: [2, 'string'], size: [3, 'int64'], caption: [4, 'string'] }),
    MediaItems: fields({ items: [1, 'MediaItem'] }, ['items']),
    Media: fields({
      key: [1, 'string'],
      step: [2, 'int64'],
      type: [3, 'int32'],
      timestamp: [4, 'Timestamp'],
      value: [5, 'MediaItems'],
    }),
    Log: fields({ line: [1, 'string'], level: [2, 'int32'], timestamp: [3, 'Timestamp'], epoch: [4, 'int64'] }),
    Save: fields({ name: [1, 'string'], sourcePath: [2, 'string'], type: [5, 'int32'] }),
    Record: fields({
      num: [1, 'int64'],
      timestamp: [2, 'Timestamp'],
      start: [10, 'Start'],
      finish: [11, 'Finish'],
      column: [12, 'Column'],
      scalar: [13, 'Scalar'],
      media: [14, 'Media'],
      log: [16, 'Log'],
      save: [20, 'Save'],
    }),
  },
}).lookupType('Record');

export interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}

export interface MediaItem {
  readonly filename: string;
  readonly sha256: string;
  readonly size: number;
  readonly caption: string;
}

interface Point {
  readonly key: string;
  readonly step: number;
  readonly type: number;
  readonly timestamp: Timestamp;
}

/** One record; exactly one field beside num and timestamp is given. */
export interface SwanlabRecord {
  readonly num: number;
  readonly timestamp: Timestamp;
  readonly start?: {
    readonly project: string;
    readonly workspace: string;
    readonly name: string;
    readonly description: string;
    readonly tags: readonly string[];
    readonly id: string;
    readonly startedAt: Timestamp;
  };
  readonly finish?: { readonly state: number; readonly error: string; readonly finishedAt: Timestamp };
  readonly column?: {
    readonly class: number;
    readonly type: number;
    readonly key: string;
    readonly name: string;
    readonly sectionName: string;
    readonly sectionType: number;
    readonly yRange?: { readonly min?: number; readonly max?: number };
    readonly chartIndex: string;
    readonly chartName: string;
    readonly chartType: number;
    readonly metricName: string;
  };
  readonly scalar?: Point & { readonly value: { readonly number: number } };
  readonly media?: Point & { readonly value: { readonly items: readonly MediaItem[] } };
  readonly log?: {
    readonly line: string;
    readonly level: number;
    readonly timestamp: Timestamp;
    readonly epoch: number;
  };
  readonly save?: { readonly name: string; readonly sourcePath: string; readonly type: number };
}

export function encodeRecord(record: SwanlabRecord): Uint8Array {
  return RecordType.encode(RecordType.fromObject(record)).finish();
}

export const timestamp = (milliseconds: number): Timestamp => ({
  seconds: Math.floor(milliseconds / 1000),
  nanos: Math.round((milliseconds - Math.floor(milliseconds / 1000) * 1000) * 1e6),
});
