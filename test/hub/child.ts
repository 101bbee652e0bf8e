// The real command line as a child process, and the model that it is to bring.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { MODEL_FILES, modelFiles } from './server.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const ID = 'Qwen/Tiny-VL';
export const FILES = modelFiles(5, 900_000);
export const TOTAL = MODEL_FILES.reduce((sum, name) => sum + Buffer.from(FILES[name]!).length, 0);

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts `texlens` with these arguments and no environment but this one. */
export function start(
  args: readonly string[],
  env: Record<string, string>,
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH, ...env } });
  const outcome = Promise.all([once(child, 'close'), text(child.stdout!), text(child.stderr!)]).then(
    ([[code], out, err]) => ({ code: code as number | null, out, err }),
  );
  return { child, outcome };
}

export async function expectModel(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.'));
  expect(names.sort()).toEqual([...MODEL_FILES].sort());
  for (const name of names) expect((await readFile(join(folder, name))).equals(Buffer.from(FILES[name]!))).toBe(true);
}
