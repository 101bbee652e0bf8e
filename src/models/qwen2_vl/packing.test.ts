// Packing of samples into batches.
import { expect, test } from 'vitest';
import { Random } from '../../shared/random.ts';
import { chooseBucket, misfit, pack, type SampleSize } from './packing.ts';

const BUCKET = { tokens: 128, row: 64, patches: 96, patchRow: 48, labels: 60 };

test('every sample lies once, within its row and the budgets, beside no other', () => {
  const random = Random.from(4);
  const sizes: SampleSize[] = Array.from({ length: 200 }, () => ({
    tokens: 5 + random.int(60),
    labels: 1 + random.int(20),
    images: random.int(4) ? [4 * (1 + random.int(12))] : [],
  }));
  const batches = pack(Array.from(sizes.keys()), sizes, BUCKET);
  expect(batches.flatMap((batch) => batch.map(({ sample }) => sample)).sort((a, b) => a - b)).toEqual(
    Array.from(sizes.keys()),
  );
  for (const batch of batches) {
    const [tokens, patches] = [new Int32Array(BUCKET.tokens), new Int32Array(BUCKET.patches)];
    expect(batch.reduce((sum, { sample }) => sum + sizes[sample]!.labels, 0)).toBeLessThanOrEqual(BUCKET.labels);
    for (const { sample, start, patchStarts } of batch) {
      const size = sizes[sample]!;
      expect(Math.floor(start / BUCKET.row)).toBe(Math.floor((start + size.tokens - 1) / BUCKET.row));
      for (let i = 0; i < size.tokens; i++) tokens[start + i]!++;
      size.images.forEach((count, i) => {
        const at = patchStarts[i]!;
        expect(Math.floor(at / BUCKET.patchRow)).toBe(Math.floor((at + count - 1) / BUCKET.patchRow));
        for (let p = 0; p < count; p++) patches[at + p]!++;
      });
    }
    expect([Math.max(...tokens), Math.max(...patches)].every((most) => most <= 1)).toBe(true);
  }
});

test('a gap is filled by a later sample that fits', () => {
  const sizes = [60, 50, 60, 14, 4].map((tokens) => ({ tokens, labels: 1, images: [] }));
  expect(pack([0, 1, 2, 3, 4], sizes, BUCKET).map((batch) => batch.map(({ sample }) => sample))).toEqual([
    [0, 1, 3, 4],
    [2],
  ]);
});

test('a sample that can never fit is named', () => {
  expect(() => pack([0], [{ tokens: 65, labels: 1, images: [] }], BUCKET)).toThrow(
    'sample 0 does not fit: 65 tokens, more than the 64 of a row',
  );
});

test('a batch of one row takes more samples, and none longer than a row would have taken', () => {
  const sizes = Array.from({ length: 12 }, () => ({ tokens: 40, labels: 1, images: [] }));
  const order = Array.from(sizes.keys());
  const [rows, one] = [chooseBucket(sizes, 256, 64, 4), chooseBucket(sizes, 256, 64, 4, true)];
  expect(rows).toMatchObject({ tokens: 240, row: 48 });
  expect(one).toMatchObject({ tokens: 256, row: 256, longest: 48 });
  expect(pack(order, sizes, rows).map((batch) => batch.length)).toEqual([5, 5, 2]);
  expect(pack(order, sizes, one).map((batch) => batch.length)).toEqual([6, 6]);
  expect(misfit({ tokens: 65, labels: 1, images: [] }, one)).toBe('65 tokens, more than the 48 of a row');
});

test('a bucket is chosen for any number of samples, and holds every one that its rows hold', () => {
  const random = Random.from(6);
  const sizes: SampleSize[] = Array.from({ length: 300_000 }, () => ({
    tokens: 20 + random.int(100),
    labels: 1 + random.int(20),
    images: [4 * (1 + random.int(30))],
  }));
  const bucket = chooseBucket(sizes, 512, 100, 4);
  expect(bucket).toMatchObject({ tokens: 500, row: 100, patchRow: 128 });
  expect(sizes.filter((size) => size.tokens <= 100 && misfit(size, bucket) !== null)).toEqual([]);
});

test('a sample fits where its images fit the vision rows of a batch, and not by the sum of their patches', () => {
  const fits = (images: number[]): boolean => misfit({ tokens: 1, labels: 1, images }, BUCKET) === null;
  expect([[48, 48], [28, 24, 20, 24], [], [96], [32, 32, 32], [48, 48, 4]].map(fits)).toEqual([
    ...[true, true, true],
    ...[false, false, false],
  ]);
  expect(misfit({ tokens: 1, labels: 1, images: [32, 32, 32] }, BUCKET)).toBe(
    'images of 32 + 32 + 32 patches, more than the 96 of a batch hold in rows of 48',
  );
  const random = Random.from(8);
  for (let n = 0; n < 500; n++) {
    const images = Array.from({ length: random.int(5) }, () => 4 * (1 + random.int(13)));
    const alone = () => pack([0], [{ tokens: 1, labels: 1, images }], BUCKET);
    if (fits(images)) expect(alone()).toHaveLength(1);
    else expect(alone).toThrow('sample 0 does not fit: ');
  }
});
