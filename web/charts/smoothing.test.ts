// Smoothing against the debiased moving average, written out.
import { describe, expect, it } from 'vitest';
import { smooth } from './smoothing.ts';

describe('smooth', () => {
  it('leaves a curve alone at weight 0, and a constant at any', () => {
    expect(smooth([0, 1, 2], [3, 1, 2], 0)).toEqual([3, 1, 2]);
    for (const value of smooth([0, 1, 5, 6], [2, 2, 2, 2], 0.9)) expect(value).toBeCloseTo(2, 12);
  });

  it('is the debiased exponential average where points stand evenly', () => {
    // With weight 1/2: 1; (1/2·1 + 2)/(1/2 + 1); (1/4·1 + 1/2·2 + 4)/(1/4 + 1/2 + 1).
    const expected = [1, 2.5 / 1.5, 5.25 / 1.75];
    for (const [i, value] of smooth([10, 20, 30], [1, 2, 4], 0.5).entries())
      expect(value).toBeCloseTo(expected[i]!, 12);
  });

  it('forgets across a gap', () => {
    // Mean distance 50: the last point stands two of them after the one before, so 1/4 of the average is kept.
    const [, , last] = smooth([0, 0, 100], [0, 0, 1], 0.5);
    // Mass before: 1/2 + 1/2 = 1 (no distance, nothing forgotten); then 1/4 · 1 + 1/2.
    expect(last).toBeCloseTo(0.5 / 0.75, 12);
  });
});
