// Runs recorded in a temporary folder, for the tests of the store.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, vi } from 'vitest';
import { createRun, type RunOptions } from '../src/tracker/run.ts';

export const image = (name: string): string =>
  fileURLToPath(new URL(`golden/processor/images/${name}`, import.meta.url));
export const quiet = { captureConsole: false, systemEverySeconds: 0 } as const;

let home: string;
export const at = (...parts: string[]): string => join(home, ...parts);
export const record = (folder: string, options: Partial<RunOptions> = {}) =>
  createRun({ folder: at(folder), ...quiet, ...options });

/** What was said on stderr meanwhile. */
export async function said(work: () => Promise<void>): Promise<string> {
  const spy = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    await work();
    return spy.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    spy.mockRestore();
  }
}

/** The folder of a test file, for as long as its tests run. */
export function useHome(): void {
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'texlens-store-'));
  });
  afterAll(() => rm(home, { recursive: true, force: true }));
}
