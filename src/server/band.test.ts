// Thinning: no spike is lost, spans are cut as asked, odd values are counted and never drawn.
import { describe, expect, it } from 'vitest';
import { bandOf } from './band.ts';

const everything = { axis: 'step', from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY } as const;
const series = (values: number[], steps = values.map((_, i) => i)) => ({
  key: 'loss',
  steps,
  times: steps.map((step) => 1_000_000 + 500 * step),
  values,
  total: values.length,
});

describe('bandOf', () => {
  it('hands over few points as they are', () => {
    const band = bandOf(series([3, 1, 2]), 0, { ...everything, points: 10 });
    expect(band).toEqual({ x: [0, 1, 2], mean: [3, 1, 2], low: null, high: null, total: 3, notFinite: 0 });
  });

  it('keeps a spike of a single point among a hundred thousand, and both ends', () => {
    const values = Array.from({ length: 100_000 }, () => 1);
    values[54_321] = 99;
    values[77_777] = -5;
    const band = bandOf(series(values), 0, { ...everything, points: 500 });
    expect(band.x).toHaveLength(500);
    expect(Math.max(...band.high!)).toBe(99);
    expect(Math.min(...band.low!)).toBe(-5);
    expect([band.x[0], band.x.at(-1)]).toEqual([0, 99_999]);
    // The bucket of 200 points around the spike: (199 × 1 + 99) / 200.
    expect(band.mean[Math.floor((54_321 * 500) / 100_000)]).toBeCloseTo(298 / 200, 12);
  });

  it('cuts to the span before it thins, on each axis', () => {
    const values = Array.from({ length: 1000 }, (_, i) => i);
    expect(bandOf(series(values), 0, { axis: 'step', from: 10, to: 12, points: 500 }).mean).toEqual([10, 11, 12]);
    // Steps are half a second apart, and the clock starts at 1000 s.
    const relative = bandOf(series(values), 1_000_000, { axis: 'relative', from: 2, to: 3, points: 500 });
    expect(relative.x).toEqual([2, 2.5, 3]);
    expect(relative.mean).toEqual([4, 5, 6]);
    expect(bandOf(series(values), 0, { axis: 'time', from: 1002, to: 1002, points: 500 }).mean).toEqual([4]);
  });

  it('counts what is no finite number and leaves it out', () => {
    const band = bandOf(series([1, Number.NaN, 3, Number.POSITIVE_INFINITY]), 0, { ...everything, points: 10 });
    expect(band).toMatchObject({ x: [0, 2], mean: [1, 3], total: 4, notFinite: 2 });
  });

  it('puts points in order that came out of order', () => {
    expect(bandOf(series([30, 10, 20], [3, 1, 2]), 0, { ...everything, points: 10 })).toMatchObject({
      x: [1, 2, 3],
      mean: [10, 20, 30],
    });
  });
});
