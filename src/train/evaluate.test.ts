// Which of two evaluations is the better one.
import { expect, test } from 'vitest';
import { isBetter, metricValue } from './evaluate.ts';

test.each([
  ['loss', 0.5, false],
  ['edit_distance', 0.25, false],
  ['exact_match', 0.75, true],
] as const)('%s has its own value, and its own direction', (metric, value, moreIsBetter) => {
  expect(metricValue({ loss: 0.5, exactMatch: 0.75, editDistance: 0.25, count: 4 }, metric)).toBe(value);
  expect(isBetter(metric, value + 0.1, value)).toBe(moreIsBetter);
  expect(isBetter(metric, value - 0.1, value)).toBe(!moreIsBetter);
  expect(isBetter(metric, value, value)).toBe(false);
});
