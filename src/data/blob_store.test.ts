// The store against a plain map: what is put comes back, also to another process's store; cut-off and damaged files lose
// only what was cut or damaged; the limit holds and drops what was not used.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, it } from 'vitest';
import { BlobStore } from './blob_store.ts';

const BUILT = fileURLToPath(new URL('../../dist/data/blob_store.js', import.meta.url));

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-blobs-'));
});

const key = (i: number): Buffer => createHash('sha256').update(`${i}`).digest().subarray(0, 16);
const blob = (i: number, bytes = 100): Uint8Array => new Uint8Array(bytes).fill(i);
const file = (ending: string): string => join(folder, readdirSync(folder).find((name) => name.endsWith(ending))!);

it('gives back what was put, at once and when opened again', () => {
  const store = BlobStore.open(folder, 1e6);
  for (let i = 0; i < 50; i++) expect(store.put(key(i), blob(i, i))).toBe(true);
  const other = BlobStore.open(folder, 1e6); // while the first is still open
  for (const one of [store, other]) for (let i = 0; i < 50; i++) expect(one.get(key(i)), `${i}`).toEqual(blob(i, i));
  expect(other.get(key(50))).toBeUndefined();
  expect(other.put(key(50), blob(50))).toBe(true); // goes to a file of its own
  store.close();
  other.close();
  expect(readdirSync(folder).filter((name) => name.endsWith('.blobs'))).toHaveLength(2);
  expect(BlobStore.open(folder, 1e6).get(key(50))).toEqual(blob(50));
});

it('passes over what a kill cut off, and never gives damaged bytes', () => {
  const store = BlobStore.open(folder, 1e6);
  for (let i = 0; i < 10; i++) store.put(key(i), blob(i));
  store.close();
  truncateSync(file('.blobs'), 950); // the tenth is not whole
  appendFileSync(file('.index'), 'half a record');
  const bytes = readFileSync(file('.blobs'));
  bytes[150]! ^= 1;
  writeFileSync(file('.blobs'), bytes);
  const again = BlobStore.open(folder, 1e6);
  const there = Array.from({ length: 10 }, (_, i) => again.get(key(i)) !== undefined);
  expect(there).toEqual([true, false, true, true, true, true, true, true, true, false]);
  expect(again.put(key(9), blob(9))).toBe(true);
  expect(again.get(key(9))).toEqual(blob(9));
});

it('stays below its limit: drops what was used longest ago, and takes no more than fits', async () => {
  const limit = 8000;
  for (let round = 0; round < 4; round++) {
    const store = BlobStore.open(folder, limit);
    if (round > 0) expect(store.get(key(0)), 'used every round').toBeDefined();
    for (let i = 0; i < 10; i++) store.put(key(round * 100 + i), blob(i, 200));
    store.close();
    await new Promise((resolve) => setTimeout(resolve, 5)); // times of files tell the rounds apart
  }
  const store = BlobStore.open(folder, limit);
  expect(store.get(key(0))).toBeDefined();
  expect(store.get(key(9)), 'not used since the first round').toBeUndefined();
  expect(store.get(key(309)), 'the newest').toBeDefined();
  let taken = 0;
  while (store.put(key(1000 + taken), blob(1, 200))) taken++;
  expect(taken).toBeGreaterThan(10);
  for (let i = 0; i < taken; i++) expect(store.get(key(1000 + i)), 'used by this process').toBeDefined();
  const onDisk = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  expect(onDisk).toBeLessThanOrEqual(limit);
});

it('a process killed while it puts leaves a store of whole blobs', async () => {
  const script = `
    import { createHash } from 'node:crypto';
    import { BlobStore } from ${JSON.stringify(BUILT)};
    const store = BlobStore.open(${JSON.stringify(folder)}, 1e9);
    for (let i = 0; ; i++) {
      store.put(createHash('sha256').update(String(i)).digest().subarray(0, 16), new Uint8Array(100 + (i % 5000)).fill(i));
      if (i === 500) process.stdout.write('going');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  const store = BlobStore.open(folder, 1e9);
  let count = 0;
  while (store.get(key(count)) !== undefined) {
    expect(store.get(key(count))).toEqual(blob(count, 100 + (count % 5000)));
    count++;
  }
  expect(count).toBeGreaterThan(500);
});
