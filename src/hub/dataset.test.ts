// Data sets of both hubs: subsets and splits as their README says or their names tell, sizes unknown, offline use.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HubServer, noise } from '../../test/hub/server.ts';
import { type DatasetRequest, downloadDataset } from './dataset.ts';
import type { HubName } from './names.ts';

const ID = 'AI-ModelScope/LaTeX_OCR';
const README = `---
license: apache-2.0
dataset_info:
  - config_name: full
    features: [{name: image, dtype: image}]
    splits:
      - {name: train, num_bytes: 405000, num_examples: 76318}
      - {name: validation, num_examples: 8475}
  - config_name: small
    splits: [{name: train}]
configs:
  - config_name: full
    data_files:
      - split: train
        path: full/train-*
      - split: validation
        path: [full/validation-*]
      - split: test
        path: full/test-00000-of-00001.parquet
  - config_name: small
    data_files: small/*.parquet
---
# LaTeX OCR
`;
const files = {
  'README.md': README,
  'full/train-00000-of-00002.parquet': noise(5000, 1),
  'full/train-00001-of-00002.parquet': noise(400_000, 2),
  'full/validation-00000-of-00001.parquet': noise(300, 3),
  'full/test-00000-of-00001.parquet': noise(200, 4),
  'small/train.parquet': '',
};

let server: HubServer;
let home: string;
beforeAll(async () => {
  server = await HubServer.start();
});
afterAll(() => server.close());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'texlens-'));
  server.reset();
});
afterEach(() => rm(home, { recursive: true, force: true }));

const hooks = { progress: () => {} };
const request = (hub: HubName, rest: Partial<DatasetRequest> = {}): DatasetRequest => ({
  hub,
  id: ID,
  env: server.env(home),
  backoffMs: 1,
  ...rest,
});

describe.each(['hf', 'modelscope'] as const)('downloadDataset from %s', (hub) => {
  beforeEach(() => server.add({ kind: 'dataset', id: ID, files }));

  it('brings every split of the first subset, in order, with equal bytes', async () => {
    const { files: got, subset, configs, folder, bytes } = await downloadDataset(request(hub), hooks);
    expect(subset).toBe('full');
    expect(configs.map((config) => config.name)).toEqual(['full', 'small']);
    expect(got.map(({ path, split }) => [split, path])).toEqual([
      ['train', 'full/train-00000-of-00002.parquet'],
      ['train', 'full/train-00001-of-00002.parquet'],
      ['validation', 'full/validation-00000-of-00001.parquet'],
      ['test', 'full/test-00000-of-00001.parquet'],
    ]);
    for (const { path, localPath } of got) {
      expect(localPath).toBe(join(folder, path));
      expect((await readFile(localPath)).equals(files[path as keyof typeof files] as Buffer)).toBe(true);
    }
    expect(bytes).toBe(405_500 + Buffer.byteLength(README));
    expect(await readFile(join(folder, 'README.md'), 'utf8')).toBe(README);
  });

  it('brings one split under any of its names, and an empty file', async () => {
    const { files: val } = await downloadDataset(request(hub, { split: 'val' }), hooks);
    expect(val.map(({ path }) => path)).toEqual(['full/validation-00000-of-00001.parquet']);
    const { files: small } = await downloadDataset(request(hub, { subset: 'small' }), hooks);
    expect(small.map(({ path, split }) => [split, path])).toEqual([['train', 'small/train.parquet']]);
    expect((await readFile(small[0]!.localPath)).length).toBe(0);
  });

  it('tells how many rows the README says that a split has', async () => {
    const declared = async (rest: Partial<DatasetRequest>) =>
      (await downloadDataset(request(hub, rest), hooks)).declaredRows;
    expect(await declared({ split: 'train' })).toBe(76318);
    expect(await declared({ split: 'train', offline: true })).toBe(76318);
    expect(await declared({ split: 'val' })).toBe(8475);
    expect(await declared({ split: 'test' })).toBeUndefined();
    expect(await declared({ subset: 'small', split: 'train' })).toBeUndefined();
    // One subset alone need not be named, and a form that nobody knows says nothing.
    const head = (info: string) => ({ 'README.md': `---\ndataset_info: ${info}\n---\n`, 'train.parquet': 'x' });
    server.add({ kind: 'dataset', id: ID, files: head('{splits: [{name: train, num_examples: 7}]}') });
    expect(await declared({ split: 'train' })).toBe(7);
    server.add({ kind: 'dataset', id: ID, files: head('seven') });
    expect(await declared({ split: 'train' })).toBeUndefined();
  });

  it('fetches nothing twice and works offline afterwards', async () => {
    const first = await downloadDataset(request(hub), hooks);
    const again = await downloadDataset(request(hub), hooks);
    expect(first.downloaded).toBe(first.bytes);
    expect(again.downloaded).toBe(0);
    const asked = server.seen.length;
    const offline = await downloadDataset(request(hub, { offline: true, split: 'train' }), hooks);
    expect(offline.files).toEqual(first.files.slice(0, 2));
    expect(server.seen.length).toBe(asked);
    await rm(first.files[1]!.localPath);
    await expect(downloadDataset(request(hub, { offline: true }), hooks)).rejects.toThrow(/lacks full\/train-00001-of/);
  });

  it('names the subsets and splits there are', async () => {
    await expect(downloadDataset(request(hub, { subset: 'large' }), hooks)).rejects.toThrow(
      /no subset large; choose one of full, small/,
    );
    await expect(downloadDataset(request(hub, { split: 'dev2' }), hooks)).rejects.toThrow(
      /no split dev2; expected one of train, validation, test/,
    );
  });

  it('goes by names where the README is silent', async () => {
    server.add({
      kind: 'dataset',
      id: ID,
      files: { 'a/train-0.parquet': 'x', 'a/val.parquet': 'y', 'notes.csv': 'z' },
    });
    const { files: got, subset } = await downloadDataset(request(hub), hooks);
    expect(subset).toBe('default');
    expect(got.map(({ path, split }) => [split, path])).toEqual([
      ['train', 'a/train-0.parquet'],
      ['validation', 'a/val.parquet'],
    ]);
    server.add({ kind: 'dataset', id: ID, files: { 'a/train.csv': 'x', 'b/test.csv': 'y' } });
    await expect(downloadDataset(request(hub), hooks)).rejects.toThrow(/choose one of a, b/);
    const b = await downloadDataset(request(hub, { subset: 'b', out: join(home, 'b') }), hooks);
    expect(b.files).toEqual([{ path: 'b/test.csv', split: 'test', localPath: join(home, 'b', 'b/test.csv') }]);
  });

  it('tells a pattern that no file matches', async () => {
    server.add({ kind: 'dataset', id: ID, files: { 'README.md': README } });
    await expect(downloadDataset(request(hub), hooks)).rejects.toThrow(/split train: no file matches full\/train-\*/);
  });
});

it('pages through a large data set of ModelScope under its number', async () => {
  const many = Object.fromEntries(
    Array.from({ length: 250 }, (_, i) => [`${i % 100 === 99 ? 'test' : 'train'}/${i}.csv`, `${i}`]),
  );
  server.add({ kind: 'dataset', id: ID, files: many });
  const { files: got } = await downloadDataset(request('modelscope', { split: 'test' }), hooks);
  expect(got.map(({ path }) => path)).toEqual(['test/199.csv', 'test/99.csv']);
  const trees = server.seen.filter(({ url }) => /^\/api\/v1\/datasets\/\d+\/repo\/tree/.test(url));
  expect(trees.map(({ url }) => /PageNumber=(\d)/.exec(url)?.[1])).toEqual(['1', '2', '3']);
});

it('takes no part of a data set for the whole offline', async () => {
  server.add({ kind: 'dataset', id: ID, files: { 'train_a.csv': 'a', 'train_b.csv': noise(900, 2) } });
  server.datasetSize = (bytes) => (bytes > 1 ? bytes + 1 : 1);
  await expect(downloadDataset(request('modelscope'), hooks)).rejects.toThrow(/train_b\.csv: .*3 times in a row/);
  const offline = () => downloadDataset(request('modelscope', { offline: true }), hooks);
  await expect(offline()).rejects.toThrow(/offline, and its fetch into .* was not finished/);
  server.datasetSize = () => 0;
  await downloadDataset(request('modelscope'), hooks);
  expect((await offline()).files).toHaveLength(2);
});

describe('without a sum to check against', () => {
  const path = 'full/train-00001-of-00002.parquet';
  const big = { ...files, [path]: noise(900_000, 5) };
  const atStorage = (file?: string, host?: string): boolean => file === path && host === 'storage';

  it('writes only the range that was asked for', async () => {
    server.add({ kind: 'dataset', id: ID, files: big });
    let left = 3;
    server.fault = ({ file, host, range }) =>
      atStorage(file, host) && range !== 'bytes=0-0' && left-- > 0 ? { shiftRange: 100 } : undefined;
    const { files: got } = await downloadDataset(request('modelscope'), hooks);
    expect((await readFile(got[1]!.localPath)).equals(big[path])).toBe(true);
    expect(left).toBeLessThan(0);
  });

  it.each([
    ['another tag', undefined],
    ['no tag', ['etag']],
  ])('begins anew when the file has %s by the time it goes on', async (_what, drop) => {
    server.add({ kind: 'dataset', id: ID, files: big });
    const controller = new AbortController();
    server.fault = ({ file, host }) => (atStorage(file, host) ? { slowMs: 2, drop } : undefined);
    server.onServe = () => {
      if (server.served > 600_000) controller.abort();
    };
    const cut = downloadDataset(request('modelscope', { signal: controller.signal, connections: 1 }), hooks);
    await expect(cut).rejects.toThrow(/abort/i);
    const changed = { ...big, [path]: noise(900_000, 6) };
    server.add({ kind: 'dataset', id: ID, files: changed });
    const { files: got } = await downloadDataset(request('modelscope', { connections: 1 }), hooks);
    expect((await readFile(got[1]!.localPath)).equals(changed[path])).toBe(true);
  });

  it('goes on when the tag is the same', async () => {
    server.add({ kind: 'dataset', id: ID, files: big });
    const controller = new AbortController();
    server.fault = ({ file, host }) => (atStorage(file, host) ? { slowMs: 2 } : undefined);
    server.onServe = () => {
      if (server.served > 700_000) controller.abort();
    };
    const cut = downloadDataset(request('modelscope', { signal: controller.signal, connections: 1 }), hooks);
    await expect(cut).rejects.toThrow(/abort/i);
    const { files: got, downloaded } = await downloadDataset(request('modelscope', { connections: 1 }), hooks);
    expect(downloaded).toBeLessThan(500_000);
    expect((await readFile(got[1]!.localPath)).equals(big[path])).toBe(true);
  });
});

it('takes a size that the list wrongly says for a fault, and mends a damaged file', async () => {
  server.add({ kind: 'dataset', id: ID, files });
  server.datasetSize = (bytes) => (bytes > 1000 ? bytes - 1 : 0);
  await expect(downloadDataset(request('modelscope'), hooks)).rejects.toThrow(
    /has a file of 5000 bytes, the hub lists 4999/,
  );
  server.datasetSize = () => 0;
  const { files: got } = await downloadDataset(request('modelscope'), hooks);
  await writeFile(got[0]!.localPath, 'short');
  const again = await downloadDataset(request('modelscope'), hooks);
  expect(again.downloaded).toBe(5000);
  expect((await readFile(got[0]!.localPath)).equals(files['full/train-00000-of-00002.parquet'])).toBe(true);
});
