// The steps of a run: every sample once an epoch, another order each time, and how many there are.
import { expect, test } from 'vitest';
import { countSteps, epochSteps } from './plan.ts';

const BUCKET = { tokens: 32, row: 32, patches: 0, patchRow: 64, labels: 32 };
/** Two to a batch. */
const sizes = Array.from({ length: 39 }, () => ({ tokens: 16, labels: 1, images: [] }));

test('an epoch has every sample once, in an order of the seed’s and the epoch’s', () => {
  const order = (seed: number, epoch: number) =>
    epochSteps(sizes, BUCKET, 2, seed, epoch).flatMap(({ micro }) => micro.flat().map(({ sample }) => sample));
  expect(order(1, 0).toSorted((a, b) => a - b)).toEqual([...sizes.keys()]);
  expect(order(1, 0)).toEqual(order(1, 0));
  expect(order(1, 1)).not.toEqual(order(1, 0));
  expect(order(2, 0)).not.toEqual(order(1, 0));
});

test('the last step of an epoch takes the micro-batches that are left', () => {
  expect(epochSteps(sizes, BUCKET, 3, 1, 0).map(({ micro }) => micro.length)).toEqual([3, 3, 3, 3, 3, 3, 2]);
});

test.each([
  [1, 10],
  [2, 20],
  [0.05, 1],
  [2.1, 21],
  [1.11, 12],
  [1.7, 17],
])('%d epochs of ten steps are %d steps', (epochs, steps) => {
  expect(countSteps(sizes, BUCKET, { accumulate: 2, seed: 1, epochs })).toBe(steps);
});
