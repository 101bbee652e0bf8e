// Samples from the cache against samples without one: equal to the bit, cold and warm; keyed by content and settings.
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createModel, SMALL } from '../models/qwen2_vl/create.ts';
import { Processor } from '../models/qwen2_vl/processor.ts';
import { encodeRows } from './dataset.ts';
import { SampleCache } from './sample_cache.ts';

let home = '';
let processor: Processor;
let images: string[] = [];
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'texlens-cache-'));
  await createModel(join(home, 'model'), ['\\frac', '\\alpha'], SMALL, 0);
  processor = await Processor.load(join(home, 'model'), { minPixels: 3136, maxPixels: 20_000 });
  const golden = new URL('../../test/golden/processor/images/', import.meta.url);
  images = (await readdir(golden)).map((name) => join(golden.pathname, name));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const instruction = { prompt: 'Read.', replaces: true };
const rows = (): { images: string[]; text: string }[] =>
  images.map((image, i) => ({ images: [image], text: `\\frac { ${i} } { \\alpha }` }));
const open = (folder: string, limitBytes = 1e9, own = processor): Promise<SampleCache | null> =>
  SampleCache.open({ folder: join(home, folder), limitBytes, model: join(home, 'model'), processor: own });

it('gives the samples that come without it, bit for bit, and decodes nothing the second time', async () => {
  const plain = await encodeRows(rows(), processor, instruction, 'reading');
  const decode = vi.spyOn(processor, 'image');
  const tokenize = vi.spyOn(processor, 'sample');
  for (const state of ['cold', 'warm']) {
    decode.mockClear();
    tokenize.mockClear();
    const cache = (await open('same'))!;
    const { samples, labels, dropped } = await encodeRows(rows(), processor, instruction, 'reading', cache);
    expect(decode).toHaveBeenCalledTimes(state === 'cold' ? images.length : dropped.length);
    expect(tokenize).toHaveBeenCalledTimes(state === 'cold' ? samples.length : 0);
    expect(dropped).toEqual(plain.dropped);
    expect(labels).toEqual(plain.labels);
    expect(samples).toHaveLength(plain.samples.length);
    for (const [
      i,
      {
        name,
        ids,
        labelStart,
        images: [image],
      },
    ] of samples.entries()) {
      const expected = plain.samples[i]!;
      expect({ name, ids, labelStart }).toEqual({ name, ids: expected.ids, labelStart: expected.labelStart });
      const { grid, pixels } = await processor.image(name);
      for (const one of [image!, expected.images[0]!]) {
        expect(one.grid).toEqual(grid);
        expect(Buffer.compare(one.pixels, pixels), name).toBe(0);
      }
      // What makes memory stay small: no pixels are held.
      expect(Object.values(image!).some((value) => value instanceof Uint8Array && value.length >= pixels.length)).toBe(
        false,
      );
    }
    cache.close();
  }
  vi.restoreAllMocks();
});

it('goes by an image’s content, and by the sizing, prompt and tokenizer', async () => {
  const paint = (background: string): Promise<Buffer> =>
    sharp({ create: { width: 90, height: 60, channels: 3, background } })
      .png()
      .toBuffer();
  const image = join(home, 'one.png');
  await writeFile(image, await paint('#123456'));
  const read = async (own: Processor, prompt = 'Read.') => {
    const cache = (await open('keys', 1e9, own))!;
    const { samples } = await encodeRows(
      [{ images: [image], text: 'x' }],
      own,
      { prompt, replaces: true },
      'reading',
      cache,
    );
    const { ids, images } = samples[0]!;
    const found = { ids, pixels: Uint8Array.from(images[0]!.pixels), hits: cache.hits };
    cache.close();
    return found;
  };
  const first = await read(processor);
  expect(first.hits).toBe(0);
  expect(await read(processor)).toEqual({ ...first, hits: 1 });
  const larger = await read(await Processor.load(join(home, 'model'), { minPixels: 30_000, maxPixels: 40_000 }));
  expect(larger.hits).toBe(0);
  expect(larger.pixels.length).toBeGreaterThan(first.pixels.length);
  const asked = await read(processor, 'Read it, please.');
  expect(asked.hits).toBe(1);
  expect(asked.ids).not.toEqual(first.ids);
  await writeFile(image, await paint('#654321'));
  const changed = await read(processor);
  expect([changed.hits, changed.pixels[0]]).toEqual([0, 0x65]);
  await copyFile(image, join(home, 'two.png')); // another name, the same content
  const cache = (await open('keys'))!;
  await cache.image(join(home, 'two.png'));
  expect(cache.hits).toBe(1);
});

it('keeps in memory, and says so, what its limit leaves no room for', async () => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const cache = (await open('small', 600))!;
  const plain = await encodeRows(rows(), processor, instruction, 'reading');
  const { samples } = await encodeRows(rows(), processor, instruction, 'reading', cache);
  expect(said.mock.calls.join('')).toMatch(/cache of samples takes no more \(its 0\.0 GB are in use\)/);
  said.mockRestore();
  for (const [i, sample] of samples.entries())
    expect(Buffer.compare(sample.images[0]!.pixels, plain.samples[i]!.images[0]!.pixels)).toBe(0);
});

it('does without where no folder can be made', async () => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await writeFile(join(home, 'file'), '');
  expect(await open('file/cache')).toBeNull();
  expect(said.mock.calls.join('')).toContain('no cache of samples');
  said.mockRestore();
  expect(await open('off', 0)).toBeNull();
});
