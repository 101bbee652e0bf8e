// Filters of pictures: what they keep, and what they change.
import { expect, it } from 'vitest';
import { Random } from '../../../shared/random.ts';
import { compressBlocks } from './blocks.ts';
import { blurred, smeared } from './blur.ts';
import { addNoise } from './noise.ts';
import { resized } from './resize.ts';
import { toned } from './tone.ts';
import { addSlope, addUnevenness } from './unevenness.ts';

const [W, H] = [24, 20];
/** A square of ink, 6 × 6, amid paper. */
const square = (): Float32Array =>
  Float32Array.from({ length: W * H }, (_, i) => {
    const [x, y] = [i % W, Math.floor(i / W)];
    return x >= 9 && x < 15 && y >= 7 && y < 13 ? 1 : 0;
  });
const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0);
/** The root of the mean square distance of the ink from its middle, along x or y. */
function spread(ink: Float32Array, axis: 'x' | 'y'): number {
  const place = (i: number): number => (axis === 'x' ? i % W : Math.floor(i / W));
  const mean = sum(ink.map((value, i) => value * place(i))) / sum(ink);
  return Math.sqrt(sum(ink.map((value, i) => value * (place(i) - mean) ** 2)) / sum(ink));
}

it('blurs by sigma and keeps the amount of ink', () => {
  const ink = square();
  for (const sigma of [0.6, 1.2]) {
    const out = blurred(ink, W, H, sigma);
    // Single-precision sums.
    expect(sum(out)).toBeCloseTo(36, 3);
    for (const axis of ['x', 'y'] as const) {
      const added = Math.sqrt(spread(out, axis) ** 2 - spread(ink, axis) ** 2);
      // Three taps have the Gaussian's weights at whole pixels, whose variance is a little smaller at such sigmas.
      expect(Math.abs(added - sigma)).toBeLessThan(0.12 * sigma);
    }
  }
});

it('smears along the way alone', () => {
  const ink = square();
  const out = smeared(ink, W, H, 3, 0);
  expect(sum(out)).toBeCloseTo(36, 3);
  expect(spread(out, 'x')).toBeGreaterThan(spread(ink, 'x') + 0.2);
  expect(spread(out, 'y')).toBeCloseTo(spread(ink, 'y'), 4);
});

it('resizes flat areas to the same level, and ink to its share of the area', () => {
  for (const kernel of ['triangle', 'cubic'] as const) {
    for (const [width, height] of [
      [12, 10],
      [41, 33],
    ] as const) {
      const flat = resized(new Float32Array(W * H).fill(0.5), W, H, width, height, kernel);
      expect(Math.max(...flat.map((value) => Math.abs(value - 0.5)))).toBeLessThan(1e-5);
      const share = sum(resized(square(), W, H, width, height, kernel)) / (width * height);
      // The cubic's overshoot is cut off at 0 and 1.
      expect(Math.abs(share - 36 / (W * H))).toBeLessThan(0.006);
    }
  }
});

it('fades half-covered pixels by gamma and leaves ink and paper', () => {
  expect([...toned(Float32Array.of(0, 0.25, 1), 2)]).toEqual([0, 0.0625, 1]);
});

it('adds noise of the given deviation, the same for the same seed', () => {
  const noisy = (seed: number): Uint8Array => {
    const pixels = new Uint8Array(200 * 200).fill(128);
    addNoise(pixels, 200, 1, 6, Random.from(seed));
    return pixels;
  };
  const pixels = noisy(1);
  const mean = sum(pixels) / pixels.length;
  // 40,000 values: the mean is known to 6 / 200 = 0.03, the deviation to 0.02; rounding adds 0.01 to it.
  expect(Math.abs(mean - 128)).toBeLessThan(0.15);
  expect(Math.abs(Math.sqrt(sum(pixels.map((value) => (value - 128) ** 2)) / pixels.length) - 6)).toBeLessThan(0.15);
  expect(noisy(1)).toEqual(pixels);
  expect(noisy(2)).not.toEqual(pixels);
});

it('keeps unevenness within its amplitude and smooth over its cell', () => {
  const field = new Float32Array(100 * 60);
  addUnevenness(field, 100, 60, 20, 0.3, Random.from(5));
  expect(Math.max(...field.map(Math.abs))).toBeLessThanOrEqual(0.3);
  expect(Math.max(...field) - Math.min(...field)).toBeGreaterThan(0.2);
  for (let x = 1; x < 100; x++) expect(Math.abs(field[x]! - field[x - 1]!)).toBeLessThanOrEqual(0.6 / 20 + 1e-6);
  const slope = new Float32Array(100 * 60);
  addSlope(slope, 100, 60, 0.2, Random.from(1));
  expect(Math.max(...slope)).toBeGreaterThan(0.15);
  expect(Math.abs(sum(slope) / slope.length)).toBeLessThan(0.01);
});

it('rounds blocks as JPEG does: flat ones stay, edges ring, more at a lower quality', () => {
  const flat = new Uint8Array(20 * 12).fill(255);
  compressBlocks(flat, 20, 12, 1, 50);
  expect(new Set(flat)).toEqual(new Set([255]));
  const error = (quality: number): number => {
    const pixels = Uint8Array.from(square(), (ink) => 200 - 180 * ink);
    const before = pixels.slice();
    compressBlocks(pixels, W, H, 1, quality);
    return Math.sqrt(sum(pixels.map((value, i) => (value - before[i]!) ** 2)) / pixels.length);
  };
  expect(error(100)).toBeLessThan(1);
  expect(error(50)).toBeGreaterThan(error(90));
  expect(error(20)).toBeGreaterThan(error(50));
  const colours = Uint8Array.from({ length: 16 * 8 * 3 }, (_, i) => [250, 240, 200][i % 3]!);
  compressBlocks(colours, 16, 8, 3, 60);
  expect([colours[0]! - colours[1]!, colours[1]! - colours[2]!]).toEqual([10, 40]);
});
