// Sizes as people see them, and what a progress bar leaves of the terminal.
import { describe, expect, it, vi } from 'vitest';
import { bar, formatBytes } from './log.ts';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1536, '1.5 KiB'],
    [2 ** 40, '1.0 TiB'],
  ])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('a progress bar on a terminal', () => {
  it.each([
    ['when it is stopped', (stop: () => void) => stop()],
    // What Node calls at the end of a process that an error or Ctrl-C has ended.
    ['when the process ends', (_: () => void, atExit: readonly NodeJS.ExitListener[]) => atExit.at(-1)?.(1)],
  ])('gives the cursor back: %s', (_when, finish) => {
    let written = '';
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      written += String(text);
      return true;
    });
    const { isTTY } = process.stderr;
    const before = process.listeners('exit').length;
    process.stderr.isTTY = true;
    try {
      const { stop } = bar('reading', 10);
      expect(written.lastIndexOf('\x1b[?25l')).toBeGreaterThan(-1);
      finish(stop, process.listeners('exit'));
      expect(written.lastIndexOf('\x1b[?25h')).toBeGreaterThan(written.lastIndexOf('\x1b[?25l'));
      stop();
      expect(process.listeners('exit')).toHaveLength(before);
    } finally {
      process.stderr.isTTY = isTTY;
      write.mockRestore();
    }
  });
});
