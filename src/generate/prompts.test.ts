// Packing of prompts for prefill.
import { expect, test } from 'vitest';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { packPrompts, sizeClass } from './prompts.ts';

const prompt = (tokens: number, ...patches: number[]): EncodedSample => ({
  name: `${tokens}`,
  ids: new Int32Array(tokens).fill(1),
  labelStart: 0,
  images: patches.map((count) => ({ grid: [1, 2, count / 2] as const, pixels: new Uint8Array(0) })),
});

test('sizes fall into few classes, never below what is held', () => {
  const twoSteps = new Set(Array.from({ length: 1000 }, (_, n) => sizeClass(n + 1, 2)));
  expect([...twoSteps]).toEqual([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]);
  expect([1, 9, 16, 17, 33].map((n) => sizeClass(n, 8))).toEqual([1, 9, 16, 18, 36]);
  expect(sizeClass(5, 2, 32)).toBe(32);
});

test('short prompts share rows; none overlaps another or crosses a row', () => {
  const prompts = [prompt(20, 40), prompt(90, 100, 24), prompt(31, 64), prompt(20), prompt(100, 96)];
  const { bucket, placed } = packPrompts(prompts, 4);
  // 261 tokens fit one row of 320, and would take three of 128; 324 patches: 100 + 24, 96, 64 + 40
  const { row, patchRow } = bucket;
  expect(bucket).toEqual({ tokens: 320, row: 320, patches: 3 * 128, patchRow: 128, labels: 0 });
  expect(placed.map(({ sample }) => sample.name)).toEqual(prompts.map(({ name }) => name));
  const [tokens, patches] = [new Int32Array(bucket.tokens), new Int32Array(bucket.patches)];
  for (const { sample, start, patchStarts } of placed) {
    const spans = sample.images.map(({ grid: [, h, w] }, i) => [patchStarts[i]!, h * w] as const);
    expect(Math.floor(start / row)).toBe(Math.floor((start + sample.ids.length - 1) / row));
    for (const [at, count] of spans) expect(Math.floor(at / patchRow)).toBe(Math.floor((at + count - 1) / patchRow));
    for (let i = 0; i < sample.ids.length; i++) tokens[start + i]!++;
    for (const [at, count] of spans) for (let i = 0; i < count; i++) patches[at + i]!++;
    // nothing of a prompt is a label
    expect(sample.labelStart).toBe(sample.ids.length);
  }
  expect([Math.max(...tokens), Math.max(...patches)]).toEqual([1, 1]);
  expect([tokens, patches].map((used) => used.reduce((a, b) => a + b))).toEqual([261, 324]);
});

test('a row is longer than needed only where it leaves less empty', () => {
  // Of 40 patches three fill 128 better than three rows of 48; of 65 four leave as much empty in rows of 96 as of 192.
  expect(packPrompts([prompt(20, 40, 40, 40)], 4).bucket).toMatchObject({ patches: 128, patchRow: 128 });
  expect(packPrompts([prompt(20, 65, 65, 65, 65)], 4).bucket).toMatchObject({ patches: 4 * 96, patchRow: 96 });
});

test('one prompt takes a row of its own size; text alone takes no patches', () => {
  expect(packPrompts([prompt(20)], 4).bucket).toEqual({ tokens: 24, row: 24, patches: 0, patchRow: 4, labels: 0 });
});
