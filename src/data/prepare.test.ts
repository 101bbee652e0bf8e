// Preparing whole folders: files, re-runs, refusals, drops, and the same bytes whatever the number of workers.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../shared/errors.ts';
import { readConversations, readCsv } from './conversation.ts';
import { type PrepareOptions, prepareData } from './prepare.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-prepare-'));
});

const quiet = { progress: () => {} };
const synthetic = (out: string, count = 10, seed = 1): PrepareOptions => ({
  out,
  source: { kind: 'synthetic', count, seed, level: 'easy', style: 'mixed' },
});

async function bytesOf(out: string): Promise<Map<string, string>> {
  const files = (await readdir(out, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const found = new Map<string, string>();
  for (const { name, parentPath } of files) {
    if (name === 'prepare.json') continue;
    found.set(name, (await readFile(join(parentPath, name))).toString('base64'));
  }
  return found;
}

describe('synthetic', () => {
  it('writes the files, and says already done the second time', async () => {
    const out = join(folder, 'data');
    const report = await prepareData(synthetic(out), quiet);
    expect(report).toMatchObject({ count: 10, train: 6, val: 4, dropped: {}, already: false });
    const train = await readConversations(join(out, 'train.json'));
    for (const { images } of train) expect(images.map(existsSync)).toEqual([true]);
    expect(await readCsv(join(out, 'data.csv'))).toHaveLength(10);
    const record = JSON.parse(await readFile(join(out, 'prepare.json'), 'utf8')) as Record<string, unknown>;
    expect(record).toMatchObject({ finished: true, options: { source: 'synthetic', count: 10, seed: 1 } });
    expect(record).toHaveProperty('histograms.height');
    expect(await prepareData(synthetic(out), quiet)).toMatchObject({ count: 10, already: true });
  });

  it('refuses other options by name, and a folder of something else', async () => {
    const out = join(folder, 'data');
    await prepareData(synthetic(out, 6), quiet);
    const other = prepareData(synthetic(out, 6, 2), quiet);
    await expect(other).rejects.toThrow(InputError);
    await expect(other).rejects.toThrow(/seed: then 1, now 2/);
    await writeFile(join(folder, 'notes.txt'), 'mine');
    await expect(prepareData(synthetic(folder), quiet)).rejects.toThrow(/holds other files/);
  });

  it('mends a folder that lost an image, or was interrupted', async () => {
    const out = join(folder, 'data');
    await prepareData(synthetic(out, 6), quiet);
    const whole = await bytesOf(out);
    await rm(join(out, 'images', '000002.png'));
    expect((await prepareData(synthetic(out, 6), quiet)).already).toBe(false);
    expect(await bytesOf(out)).toEqual(whole);
  });

  const built = new URL('../../dist/data/prepare.js', import.meta.url);
  it.skipIf(!existsSync(built))('gives the same bytes whatever the number of workers', async () => {
    const { prepareData: threaded } = (await import(built.href)) as typeof import('./prepare.ts');
    for (const workers of [1, 2]) {
      await threaded({ ...synthetic(join(folder, `w${workers}`), 150), workers }, quiet);
    }
    expect(await bytesOf(join(folder, 'w2'))).toEqual(await bytesOf(join(folder, 'w1')));
  });
});

describe('folder', () => {
  async function source(): Promise<string> {
    const path = join(folder, 'scans');
    await mkdir(path);
    const picture = sharp({ create: { width: 40, height: 20, channels: 3, background: '#fff' } });
    for (const name of ['a.png', 'b.jpg', 'c.webp', 'd.png', 'e.png']) await picture.toFile(join(path, name));
    await writeFile(join(path, 'bad.png'), 'not an image');
    const rows = ['a.png,x', 'b.jpg,y', 'c.webp,z', 'bad.png,b', 'gone.png,g', 'd.png,', 'e.png,"u , v"'];
    await writeFile(join(path, 'labels.csv'), `filename,formula\n${rows.join('\n')}\n`);
    return path;
  }

  it('copies PNG and JPEG as they are, converts others, and counts what it drops', async () => {
    const path = await source();
    const out = join(folder, 'data');
    const report = await prepareData({ out, source: { kind: 'folder', path, columns: {} }, valCount: 1 }, quiet);
    expect(report).toMatchObject({ count: 4, train: 3, val: 1 });
    expect(report.dropped).toEqual({ 'not a readable image': 1, 'image file not readable': 1, 'empty label': 1 });
    expect((await readdir(join(out, 'images'))).sort()).toEqual([
      '000000.png',
      '000001.jpg',
      '000002.png',
      '000006.png',
    ]);
    expect(await readFile(join(out, 'images/000001.jpg'))).toEqual(await readFile(join(path, 'b.jpg')));
    expect((await readConversations(join(out, 'val.json')))[0]!.text).toBe('u , v');
  });

  it('fails when nothing is left, and when there is no labels file', async () => {
    const path = join(folder, 'scans');
    await mkdir(path);
    const options: PrepareOptions = { out: join(folder, 'data'), source: { kind: 'folder', path, columns: {} } };
    await expect(prepareData(options, quiet)).rejects.toThrow(/expected one labels file/);
    await writeFile(join(path, 'labels.jsonl'), '{"image":"gone.png","latex":"x"}\n');
    await expect(prepareData(options, quiet)).rejects.toThrow(/no sample is left.*image file not readable/);
  });
});
