// Sizes as people see them.
import { describe, expect, it } from 'vitest';
import { formatBytes } from './log.ts';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1536, '1.5 KiB'],
    [2 ** 40, '1.0 TiB'],
  ])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
