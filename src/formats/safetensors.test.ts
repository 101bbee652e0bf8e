// safetensors: there and back, damaged files refused by name, snapshots of shards, writing whole or not at all.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError, RunError } from '../shared/errors.ts';
import { openSnapshot, SafetensorsFile, writeSafetensors } from './safetensors.ts';

const scratch = mkdtempSync(join(tmpdir(), 'texlens-safetensors-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const folder = (name: string): string => {
  const path = join(scratch, name);
  mkdirSync(path);
  return path;
};

const tensors = new Map([
  ['a', { shape: [2, 3], data: Float32Array.from([1, -2, 0.5, 3.25, -0, 1024]) }],
  ['empty', { shape: [0, 4], data: new Float32Array(0) }],
  ['scalar', { shape: [], data: Float32Array.from([7]) }],
]);

/** A file of this header and so many bytes of data. */
function file(name: string, header: unknown, bytes: number): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(scratch, name);
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(bytes)]));
  return path;
}

describe('reading and writing', () => {
  test.each(['F32', 'BF16', 'F16'] as const)('%s comes back as it was', async (dtype) => {
    const path = join(scratch, `${dtype}.safetensors`);
    await writeSafetensors(path, tensors, { dtype, metadata: { format: 'pt' } });
    const opened = await SafetensorsFile.open(path);
    expect([...opened.header.keys()]).toEqual(['a', 'empty', 'scalar']);
    expect(opened.metadata).toEqual({ format: 'pt' });
    for (const [name, { shape, data }] of tensors) {
      expect(opened.header.get(name)).toMatchObject({ dtype, shape });
      expect(await opened.read(name)).toEqual(data);
    }
    await expect(opened.read('b')).rejects.toThrow(`${path}: has no tensor 'b'`);
    await opened.close();
  });

  test('a tensor that is read in several parts comes back as it was', async () => {
    const path = join(scratch, 'large.safetensors');
    // a part of 32 MiB and the beginning of another, after a tensor that shifts them
    const data = Float32Array.from({ length: (33 * 2 ** 20) / 4 }, (_, i) => i);
    const shape = [data.length];
    await writeSafetensors(path, new Map([...tensors, ['large', { shape, data }]]), { dtype: 'F32' });
    const opened = await SafetensorsFile.open(path);
    const read = await opened.read('large');
    await opened.close();
    expect(Buffer.compare(new Uint8Array(read.buffer), new Uint8Array(data.buffer))).toBe(0);
  });

  test('a failed write leaves the old file and no other', async () => {
    const place = folder('atomic');
    const path = join(place, 'x.safetensors');
    await writeSafetensors(path, tensors, { dtype: 'F32' });
    const before = readFileSync(path);
    const broken = new Map([['a', { shape: [2], data: null as unknown as Float32Array }]]);
    await expect(writeSafetensors(path, broken, { dtype: 'F32' })).rejects.toThrow();
    const wrong = new Map([['a', { shape: [2], data: new Float32Array(3) }]]);
    await expect(writeSafetensors(path, wrong, { dtype: 'F32' })).rejects.toThrow("'a' has 3 values for the shape [2]");
    mkdirSync(join(place, 'taken'));
    writeFileSync(join(place, 'taken', 'full'), '');
    await expect(writeSafetensors(join(place, 'taken'), tensors, { dtype: 'F32' })).rejects.toBeInstanceOf(RunError);
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(place).sort()).toEqual(['taken', 'x.safetensors']);
  });

  test('a folder that is not there is a RunError that names the file', async () => {
    const path = join(scratch, 'none', 'x.safetensors');
    await expect(writeSafetensors(path, tensors, { dtype: 'F32' })).rejects.toThrow(`${path}: could not be written`);
  });
});

describe('damaged files', () => {
  const entry = (start: number, end: number, shape = [1]) => ({ dtype: 'F32', shape, data_offsets: [start, end] });
  test.each([
    ['short data', { a: entry(0, 4), b: entry(4, 8) }, 6, /'b' ends at byte 8, past the end/],
    ['overlap', { a: entry(0, 8, [2]), b: entry(4, 8) }, 8, /'b' begins at byte 4, .* ends at 8/],
    ['hole', { a: entry(0, 4), b: entry(8, 12) }, 12, /'b' begins at byte 8/],
    ['trailing data', { a: entry(0, 4) }, 9, /5 bytes follow/],
    ['wrong size', { a: entry(0, 4, [3]) }, 4, /'a' has 4 bytes for F32 \[3\]/],
    ['reversed offsets', { a: entry(4, 0) }, 4, /'a' ends/],
    ['fractional shape', { a: entry(0, 4, [0.5]) }, 4, /the entry of 'a' is malformed/],
    ['no entry', { a: 3 }, 4, /the entry of 'a' is malformed/],
    ['null header', 'null', 4, /no JSON object/],
    ['list header', '[]', 0, /no JSON object/],
    ['corrupt header', '{"a": {"dty', 4, /no JSON object/],
    ['odd metadata', { __metadata__: { a: 1 } }, 0, /__metadata__/],
  ])('%s', async (name, header, bytes, message) => {
    const path = file(`${name}.safetensors`, header, bytes);
    const opening = SafetensorsFile.open(path);
    await expect(opening).rejects.toBeInstanceOf(InputError);
    await expect(SafetensorsFile.open(path)).rejects.toThrow(message);
    await expect(SafetensorsFile.open(path)).rejects.toThrow(path);
  });

  test('every truncation is refused', async () => {
    const whole = join(scratch, 'whole.safetensors');
    await writeSafetensors(whole, tensors, { dtype: 'F32' });
    const bytes = readFileSync(whole);
    const path = join(scratch, 'cut.safetensors');
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(path, bytes.subarray(0, length));
      await expect(SafetensorsFile.open(path), `${length} bytes`).rejects.toBeInstanceOf(InputError);
    }
  });

  test('a dtype that is no float is listed but not read', async () => {
    const opened = await SafetensorsFile.open(
      file('ints.safetensors', { a: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } }, 8),
    );
    await expect(opened.read('a')).rejects.toThrow("'a' is I64; expected F32, F16 or BF16");
    await opened.close();
  });
});

describe('openSnapshot', () => {
  const one = (name: string) => new Map([[name, { shape: [2], data: Float32Array.from([1, 2]) }]]);
  async function sharded(name: string, map: Record<string, string>): Promise<string> {
    const place = folder(name);
    await writeSafetensors(join(place, 's1.safetensors'), one('a'), { dtype: 'F32' });
    await writeSafetensors(join(place, 's2.safetensors'), one('b'), { dtype: 'BF16' });
    writeFileSync(join(place, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    return place;
  }

  test('reads shards', async () => {
    const snapshot = await openSnapshot(await sharded('good', { a: 's1.safetensors', b: 's2.safetensors' }));
    expect(snapshot.names).toEqual(['a', 'b']);
    expect(snapshot.info('b')).toMatchObject({ dtype: 'BF16', shape: [2] });
    expect(await snapshot.read('b')).toEqual(Float32Array.from([1, 2]));
    expect(() => snapshot.info('c')).toThrow("has no tensor 'c'");
    await snapshot.close();
  });

  test.each([
    ['a tensor that no shard holds', { a: 's1.safetensors', c: 's2.safetensors' }, /do not hold: c/],
    ['a missing shard', { a: 's3.safetensors' }, /s3\.safetensors: cannot be opened/],
    ['a shard outside', { a: '../good/s1.safetensors' }, /not a file of this folder/],
  ])('refuses %s', async (name, map, message) => {
    const place = await sharded(name, map);
    await expect(openSnapshot(place)).rejects.toThrow(message);
    await expect(openSnapshot(place)).rejects.toBeInstanceOf(InputError);
  });

  test('refuses a folder without weights and an index that is no JSON', async () => {
    const place = folder('bare');
    await expect(openSnapshot(place)).rejects.toThrow(`${place}: no model.safetensors`);
    writeFileSync(join(place, 'model.safetensors.index.json'), '{');
    await expect(openSnapshot(place)).rejects.toThrow(/index\.json: expected JSON with a weight_map/);
  });
});
