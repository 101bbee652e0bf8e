// Preparing whole folders: files, re-runs, refusals, drops, and the same bytes whatever the number of workers.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
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

  it('draws lists of formulas, each line once, and tells those that cannot be drawn', async () => {
    const list = join(folder, 'held-out.txt');
    const lines = ['x + y', '\\frac { a } { b }', '\\frac { a', '\\alpha = 2', 'n ! \\geq 1'];
    await writeFile(list, lines.join('\n'));
    const out = join(folder, 'data');
    const options = {
      out,
      valCount: 1,
      source: { kind: 'synthetic', count: 5, style: 'wild', formulas: [list] },
    } as const;
    const report = await prepareData(options, quiet);
    expect(report).toMatchObject({ count: 4, dropped: { 'formula that cannot be set': 1 } });
    const labels = (await readCsv(join(out, 'data.csv'))).map(({ text }) => text);
    expect(labels.toSorted()).toEqual(lines.filter((line) => line !== '\\frac { a').toSorted());
    await writeFile(list, lines.slice(1).join('\n'));
    await expect(prepareData(options, quiet)).rejects.toThrow(/held-out\.txt: has changed/);
    const lone = prepareData({ out, source: { kind: 'synthetic', grammar: 0.5 } }, quiet);
    await expect(lone).rejects.toThrow(/give --formulas too/);
  });

  it('lets the event loop have its turns where it has no threads, for Ctrl-C and for the lock', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const seen = new Set<number>();
    await prepareData({ ...synthetic(join(folder, 'data'), 200), workers: 1 }, { progress: () => seen.add(turns) });
    clearInterval(timer);
    // Shares of 8, 16, 32, 64 and the rest: one turn at least between any two.
    expect(seen.size).toBeGreaterThanOrEqual(4);
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

  it('refuses a folder that another process prepares into, and goes past one that was killed', async () => {
    const out = join(folder, 'data');
    await mkdir(out);
    const lock = join(out, '.prepare-lock');
    await writeFile(lock, JSON.stringify({ pid: process.pid, host: hostname() }));
    await expect(prepareData(synthetic(out), quiet)).rejects.toThrow(
      `--out ${out}: process ${process.pid} on ${hostname()} is preparing into it now; wait for it, or choose another`,
    );
    expect(await readdir(out)).toEqual(['.prepare-lock']);
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    await writeFile(lock, JSON.stringify({ pid, host: hostname() }));
    expect(await prepareData(synthetic(out), quiet)).toMatchObject({ count: 10, already: false });
    expect(await readdir(out)).not.toContain('.prepare-lock');
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
    const report = await prepareData({ out, source: { kind: 'folder', path }, valCount: 1 }, quiet);
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
    const options: PrepareOptions = { out: join(folder, 'data'), source: { kind: 'folder', path } };
    await expect(prepareData(options, quiet)).rejects.toThrow(/expected one labels file/);
    await writeFile(join(path, 'labels.jsonl'), '{"image":"gone.png","latex":"x"}\n');
    await expect(prepareData(options, quiet)).rejects.toThrow(/no sample is left.*image file not readable/);
  });
});

describe('checks', () => {
  const paint = (width: number, background: string): Promise<Buffer> =>
    sharp({ create: { width, height: 20, channels: 3, background } })
      .png()
      .toBuffer();

  /** Rows of (colour, label) as a folder source; the same colour is the same picture in other bytes. */
  async function folderOf(rows: readonly (readonly [string, string])[]): Promise<string> {
    const path = join(folder, 'scans');
    await mkdir(path, { recursive: true });
    const lines = [];
    for (const [i, [colour, text]] of rows.entries()) {
      const picture = sharp(await paint(30, colour)).png({ compressionLevel: i % 10 });
      await picture.toFile(join(path, `${i}.png`));
      lines.push(`${i}.png\t${text}\n`);
    }
    await writeFile(join(path, 'labels.tsv'), `image\ttext\n${lines.join('')}`);
    return path;
  }
  const ROWS = [
    ['#111', 'x'],
    ['#222', '\\frac { a } { b }'],
    ['#333', '\\frac { a'],
    ['#111', 'x'],
    ['#111', 'y'],
    ['#444', '\\text {two words}  z'],
  ] as const;
  const prepare = async (options: Partial<PrepareOptions> = {}, rows: readonly (readonly [string, string])[] = ROWS) =>
    prepareData(
      { out: join(folder, 'data'), source: { kind: 'folder', path: await folderOf(rows) }, valCount: 1, ...options },
      quiet,
    );
  const labels = async (): Promise<string[]> => (await readCsv(join(folder, 'data/data.csv'))).map((row) => row.text);
  const record = async () => JSON.parse(await readFile(join(folder, 'data/prepare.json'), 'utf8')) as never;

  it('keeps and flags invalid labels, duplicates by pixels, and one picture with two labels', async () => {
    const report = await prepare();
    expect(report).toMatchObject({ count: 6, dropped: {}, normalized: 0, valLabelsInTrain: 0 });
    expect(report.flagged).toEqual({
      'label that KaTeX cannot parse': 1,
      'exact duplicate': 1,
      'same image, another label': 1,
    });
    const { flags } = (await record()) as { flags: Record<string, { examples: string[] }> };
    expect(flags['label that KaTeX cannot parse']!.examples[0]).toMatch(/^000002\.png: .*expected '}'/);
    expect(flags['exact duplicate']!.examples).toEqual(['000003.png is 000000.png again']);
    expect(flags['same image, another label']!.examples).toEqual(['000004.png and 000000.png']);
  });

  it('drops invalid labels, spells labels one way, and takes the first rows, when told so', async () => {
    const report = await prepare({ dropInvalid: true, normalize: true, limit: 5 });
    expect(report).toMatchObject({ count: 4, normalized: 1, dropped: { 'label that KaTeX cannot parse': 1 } });
    expect(await labels()).toEqual(['x', '\\frac{a}{b}', 'x', 'y']);
  });

  it('refuses other rows or options than it began with, and says which', async () => {
    await prepare();
    await expect(prepare({ normalize: true })).rejects.toThrow(/normalize: then not given, now true/);
    await expect(prepare({ limit: 2 })).rejects.toThrow(/limit: then not given, now 2/);
    await writeFile(join(folder, 'scans/1.png'), await paint(99, '#fff'));
    const images = prepareData(
      { out: join(folder, 'data'), source: { kind: 'folder', path: join(folder, 'scans') }, valCount: 1 },
      quiet,
    );
    await expect(images).rejects.toThrow(/images: has changed since \(then \d+ bytes, now \d+\)/);
    await expect(prepare({}, ROWS.slice(1))).rejects.toThrow(/labels\.tsv: has changed since/);
    await expect(prepare({ source: { kind: 'synthetic' } })).rejects.toThrow(/source: then "folder", now "synthetic"/);
  });

  it('goes on behind a journal of which an image is missing or cut', async () => {
    const options = { out: join(folder, 'data'), source: { kind: 'folder', path: await folderOf(ROWS) }, valCount: 1 };
    await prepareData(options, quiet);
    const whole = await bytesOf(options.out);
    const stop = new Error('stop');
    await rm(options.out, { recursive: true });
    const stopped = prepareData(options, {
      progress: (done) => {
        if (done === 6) throw stop;
      },
    });
    await expect(stopped).rejects.toThrow(stop);
    expect(await readdir(join(options.out, '.prepare'))).toContain('journal.jsonl');
    await writeFile(join(options.out, 'images/000003.png'), 'cut');
    expect((await prepareData(options, quiet)).already).toBe(false);
    expect(await bytesOf(options.out)).toEqual(whole);
    expect(await readdir(options.out)).not.toContain('.prepare');
  });

  it('an image that would unpack to more than it may is left out', async () => {
    const path = await folderOf(ROWS.slice(0, 2));
    const bomb = await sharp({ create: { width: 16_000, height: 4000, channels: 3, background: '#fff' } })
      .png()
      .toBuffer();
    expect(bomb.length).toBeLessThan(1e6);
    await writeFile(join(path, '1.png'), bomb);
    const report = await prepareData(
      { out: join(folder, 'data'), source: { kind: 'folder', path }, valCount: 0 },
      quiet,
    );
    expect(report).toMatchObject({ count: 1, dropped: { 'not a readable image': 1 } });
    expect(JSON.stringify(await record())).toContain('1.png: has more than 50,000,000 pixels');
  });

  it('texts that would write to the terminal are shown as text', async () => {
    const path = await folderOf(ROWS.slice(0, 2));
    await writeFile(join(path, 'labels.tsv'), 'image\ttext\n0.png\tx\ngone\u001b[2J.png\ty\n');
    await prepareData({ out: join(folder, 'data'), source: { kind: 'folder', path }, valCount: 0 }, quiet);
    const { drops } = (await record()) as { drops: Record<string, { examples: string[] }> };
    expect(drops['image file not readable']!.examples[0]).toContain('gone\\x1b[2J.png');
  });
});
