// Numbers and spans of time as people read them.
import { describe, expect, it } from 'vitest';
import { formatAgo, formatBytes, formatDuration, formatNumber } from './format.ts';

describe('formatNumber', () => {
  it.each([
    [0, '0'],
    [0.123456, '0.1235'],
    [12, '12'],
    [12_345.678, '12,346'],
    [0.00005, '5e-5'],
    [1.5e9, '1.5e9'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '−∞'],
    [null, '–'],
  ])('%s → %s', (value, text) => expect(formatNumber(value)).toBe(text));
});

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [1250, '1.3s'],
    [75_000, '1m 15s'],
    [3_600_000, '1h'],
    [90_061_000, '1d 1h'],
  ])('%s ms → %s', (span, text) => expect(formatDuration(span)).toBe(text));
});

it('formats bytes', () => {
  expect([0, 512, 1536, 24 * 2 ** 30].map(formatBytes)).toEqual(['0 B', '512 B', '1.5 KiB', '24 GiB']);
});

it('says how long ago in either language', () => {
  expect(formatAgo(0, 3 * 60_000, 'en')).toBe('3 min. ago');
  expect(formatAgo(0, 3 * 60_000, 'zh')).toBe('3分钟前');
});
