// Images: decoding and bicubic resize against Pillow's results, and files that must be refused.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError } from '../shared/errors.ts';
import { decodeImage, resizeBicubic, resizePixels } from './image.ts';

const golden = new URL('../../test/golden/processor/', import.meta.url).pathname;
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as {
  images: Record<string, { width: number; height: number; rgb: string }>;
  resizes: [number, number, number, number, number, string][];
};
const sha = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const scratch = mkdtempSync(join(tmpdir(), 'texlens-image-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The pixels of reference/processor.py's lcg. */
function pixels(count: number, seed: number, hard: boolean): Uint8Array {
  let x = seed;
  return Uint8Array.from({ length: count }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    const value = x >>> 24;
    return hard ? (value > 127 ? 255 : 0) : value;
  });
}

describe('decodeImage', () => {
  test.each(readdirSync(join(golden, 'images')))('%s has the pixels that Pillow reads', async (file) => {
    const image = await decodeImage(join(golden, 'images', file));
    const { width, height, rgb } = expected.images[file]!;
    expect({ width: image.width, height: image.height, rgb: sha(image.rgb) }).toEqual({ width, height, rgb });
  });

  test('a changed file is read anew', async () => {
    const path = join(scratch, 'changing.png');
    for (const name of ['rgb.png', 'gray.png']) {
      writeFileSync(path, readFileSync(join(golden, 'images', name)));
      expect(sha((await decodeImage(path)).rgb)).toBe(expected.images[name]!.rgb);
    }
  });

  test.each(['rgb.png', '420.jpg', 'lossless.webp', 'cmyk.tif'])('%s cut short is refused by name', async (file) => {
    const whole = readFileSync(join(golden, 'images', file));
    for (const part of [0.6, 0.9]) {
      const cut = whole.subarray(0, Math.floor(whole.length * part));
      await expect(decodeImage(cut, 'cut.img'), `${part}`).rejects.toThrow(/^cut\.img: not a readable image/);
      await expect(decodeImage(cut, 'cut.img')).rejects.toBeInstanceOf(InputError);
    }
  });

  test.each([
    ['text', Buffer.from('this is not an image at all\n'), /^x: not a readable image/],
    ['zeros', Buffer.alloc(1000), /^x: not a readable image/],
    ['nothing', Buffer.alloc(0), /^x: the image file is empty/],
  ])('%s is refused', async (_, bytes, message) => {
    await expect(decodeImage(bytes, 'x')).rejects.toThrow(message);
    await expect(decodeImage(bytes, 'x')).rejects.toBeInstanceOf(InputError);
  });

  test('a missing file and a folder are refused by name', async () => {
    await expect(decodeImage(join(scratch, 'none.png'))).rejects.toThrow(
      /none\.png: the image cannot be read \(no such file or folder\)/,
    );
    await expect(decodeImage(scratch)).rejects.toBeInstanceOf(InputError);
  });
});

describe('resizeBicubic', () => {
  test('agrees with Pillow bit for bit', () => {
    const wrong = expected.resizes.filter(([w, h, toW, toH, hard, digest], i) => {
      const image = { width: w, height: h, rgb: pixels(w * h * 3, i + 1, hard === 1) };
      return sha(resizeBicubic(image, toW, toH).rgb).slice(0, 16) !== digest;
    });
    expect(wrong).toEqual([]);
    expect(expected.resizes.length).toBeGreaterThan(150);
  });

  test('one channel gives what each of three alike does', () => {
    const grey = { width: 30, height: 50, channels: 1, pixels: pixels(1500, 1, true) } as const;
    const rgb = Uint8Array.from({ length: 4500 }, (_, i) => grey.pixels[Math.floor(i / 3)]!);
    const [one, three] = [resizePixels(grey, 28, 84), resizeBicubic({ width: 30, height: 50, rgb }, 28, 84)];
    expect(one.pixels).toHaveLength(28 * 84);
    expect(three.rgb).toEqual(Uint8Array.from({ length: 3 * 28 * 84 }, (_, i) => one.pixels[Math.floor(i / 3)]!));
  });
});
