// Thinning of long series to what a screen shows.
import { expect, it } from 'vitest';
import { thin } from './table.ts';

it('thinning keeps every spike, what is no number, and the last point', () => {
  const values = Array.from({ length: 10_000 }, (_, i) => Math.sin(i / 500));
  values[1234] = 50;
  values[5678] = -50;
  values[7777] = Number.NaN;
  const picked = thin(values, 0, 200);
  expect(picked.length).toBeLessThanOrEqual(202);
  for (const i of [1234, 5678, 7777, 9999]) expect(picked).toContain(i);
  expect(picked).toEqual([...picked].sort((a, b) => a - b));
  expect(thin(values, 9990, 200)).toEqual([9990, 9991, 9992, 9993, 9994, 9995, 9996, 9997, 9998, 9999]);
});
