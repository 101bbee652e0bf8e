// One fetch of a folder at a time; a lock left by a process that is gone holds nobody up.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isUnfinished, locked } from './lock.ts';

let root: string;
const said: string[] = [];
const say = (line: string): void => void said.push(line);
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'texlens-'));
  said.length = 0;
});
afterEach(() => rm(root, { recursive: true, force: true }));

const leave = (holder: object): Promise<void> => writeFile(join(root, '.texlens-fetching'), JSON.stringify(holder));

it('lets one in at a time, and tells the others', async () => {
  let inside = 0;
  const seen: number[] = [];
  const task = async (): Promise<void> => {
    seen.push(++inside);
    await sleep(50);
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => locked(root, 'a', say, task)));
  expect(seen).toEqual([1, 1, 1]);
  expect(said.length).toBeGreaterThan(0);
  expect(said[0]).toBe(`process ${process.pid} is fetching the same; waiting for it`);
  expect(await readdir(root)).toEqual([]);
});

it('goes past a process that was killed, and one that fell silent elsewhere', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  await leave({ pid, host: hostname(), folder: 'a' });
  expect(await locked(root, 'a', say, async () => 1)).toBe(1);
  await leave({ pid: 1, host: 'elsewhere', folder: 'a' });
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(join(root, '.texlens-fetching'), longAgo, longAgo);
  expect(await locked(root, 'a', say, async () => 2)).toBe(2);
  expect(said).toEqual([]);
});

it('knows what was begun and not finished', async () => {
  expect(await isUnfinished(root, 'a')).toBe(false);
  const failing = locked(root, 'a', say, async () => {
    expect(await isUnfinished(root, 'a')).toBe(true);
    throw new Error('cut');
  });
  await expect(failing).rejects.toThrow('cut');
  expect([await isUnfinished(root, 'a'), await isUnfinished(root, 'b')]).toEqual([true, false]);
  await locked(root, 'a', say, async () => {});
  expect(await isUnfinished(root, 'a')).toBe(false);
});

it('says so where the lock can be neither made nor read, and does not wait for ever', async () => {
  await mkdir(join(root, '.texlens-fetching'));
  await expect(locked(root, 'a', say, async () => {})).rejects.toThrow(/cannot be written to.*--cache-dir/);
});
