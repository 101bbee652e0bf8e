// Runs the command line as a user would, built or in this process, in a folder with a new model, data and a run
// configuration.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { openRun, readMeta } from '../../src/tracker/reader.ts';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const run = promisify(execFile);

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What was written on stdout in this process, call by call. */
export interface FinishedHere extends Finished {
  readonly writes: readonly string[];
}

async function finished(file: string, args: readonly string[]): Promise<Finished> {
  try {
    return { code: 0, ...(await run(file, args)) };
  } catch (error) {
    const { code, stdout, stderr } = error as Finished;
    return { code, stdout, stderr };
  }
}

export const texlens = (...args: string[]): Promise<Finished> => finished(process.execPath, [MAIN, ...args]);

/** The same in this process, from the sources: many short commands are quicker so. */
export async function texlensHere(...args: string[]): Promise<FinishedHere> {
  const writes: string[] = [];
  let stderr = '';
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    writes.push(String(text));
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const code = await main(args);
    return { code, stdout: writes.join(''), stderr, writes };
  } finally {
    out.mockRestore();
    err.mockRestore();
    process.exitCode = undefined;
  }
}

/** The built one within a limit of ulimit's: `-f 40` lets no file grow past 40 blocks of 512 bytes, as a full disk does. */
export const texlensWithin = (limit: string, ...args: string[]): Promise<Finished> =>
  finished('sh', ['-c', `ulimit ${limit}; exec "$@"`, 'sh', process.execPath, MAIN, ...args]);

export const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

export const lastJson = (text: string): Record<string, unknown> =>
  JSON.parse(text.trim().split('\n').at(-1) as string) as Record<string, unknown>;

export interface Workspace {
  at(...parts: string[]): string;
  /** What each step of a run told, as lines "step loss norm". */
  losses(output: string): Promise<string[]>;
  remove(): Promise<void>;
}

/** A folder with a new model in base/, formulas in data/ and run.yaml, whose run goes to whole/. */
export async function workspace(settings: Record<string, unknown> = {}): Promise<Workspace> {
  const home = await mkdtemp(join(tmpdir(), 'texlens-e2e-'));
  const at = (...parts: string[]) => join(home, ...parts);
  const made = [
    await texlensHere('init', '--out', at('base')),
    await texlensHere('prepare', '--source', 'synthetic', '--count', '40', '--out', at('data'), '--val-count', '4'),
  ];
  for (const { code, stderr } of made) if (code !== 0) throw new Error(stderr);
  const all = {
    model: at('base'),
    data: { train: at('data', 'train.json'), val: at('data', 'val.json'), prompt: 'LaTeX' },
    image: { min_pixels: 3136, max_pixels: 20000 },
    lora: { r: 4, alpha: 8, dropout: 0.1 },
    train: { max_steps: 8, batch_tokens: 256, row_tokens: 128, accumulate: 2, lr: 1e-3 },
    eval: { every_steps: 8, count: 2, max_new_tokens: 8 },
    save: { every_steps: 2, keep: 2 },
    output: at('whole'),
    ...settings,
  };
  await writeFile(at('run.yaml'), JSON.stringify(all)); // JSON is YAML
  return {
    at,
    async losses(output) {
      if ((await readMeta(at(output))) === null) return [];
      return [...(await openRun(at(output))).rows()].flatMap(({ step, values }) =>
        values['train/loss'] === undefined ? [] : [`${step} ${values['train/loss']} ${values['train/grad_norm']}`],
      );
    },
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
