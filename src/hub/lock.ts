// One process at a time fetches into a folder. The lock outlives a process that was killed or failed: it then tells that
// the folder is incomplete, and holds nobody up.
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, RunError } from '../shared/errors.ts';

const NAME = '.texlens-fetching';
const BEAT_MS = 3000;
/** Without a beat for so long the holder is gone, wherever it ran. */
const DEAD_MS = 20_000;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** What is being fetched. */
  readonly folder: string;
}

/** True when a fetch of this folder was begun and not finished. */
export async function isUnfinished(root: string, folder: string): Promise<boolean> {
  const text = await readFile(join(root, NAME), 'utf8').catch(() => undefined);
  return text !== undefined && holderOf(text)?.folder === folder;
}

/** Runs a task as the only one below `root`; waits for another process that is at it. */
export async function locked<T>(
  root: string,
  folder: string,
  say: (line: string) => void,
  task: () => Promise<T>,
): Promise<T> {
  const file = join(root, NAME);
  const holder: Holder = { pid: process.pid, host: hostname(), folder };
  await mkdir(root, { recursive: true }).catch((error: unknown) => {
    throw new RunError(`${root}: cannot be made (${messageOf(error)}); choose another folder by --out or --cache-dir.`);
  });
  await take(file, JSON.stringify(holder), say);
  const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => {}), BEAT_MS);
  try {
    const result = await task();
    await rm(file, { force: true });
    return result;
  } catch (error) {
    // Nobody holds it any more, but the folder is incomplete.
    await writeFile(file, JSON.stringify({ ...holder, pid: 0 })).catch(() => {});
    throw error;
  } finally {
    clearInterval(beat);
  }
}

async function take(file: string, content: string, say: (line: string) => void): Promise<void> {
  for (let told = false; ; ) {
    try {
      await writeFile(file, content, { flag: 'wx' });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = await readFile(file, 'utf8').catch(() => undefined);
    if (found === undefined) continue;
    if (await isHeld(file, found)) {
      if (!told) say(`process ${holderOf(found)?.pid ?? '?'} is fetching the same; waiting for it`);
      told = true;
      await sleep(200);
      continue;
    }
    // Moved aside rather than removed: another process may have taken it since it was read, and gets it back.
    const aside = `${file}.${process.pid}`;
    if (
      !(await rename(file, aside).then(
        () => true,
        () => false,
      ))
    )
      continue;
    if ((await readFile(aside, 'utf8').catch(() => found)) !== found) await rename(aside, file).catch(() => {});
    await rm(aside, { force: true });
  }
}

async function isHeld(file: string, text: string): Promise<boolean> {
  const holder = holderOf(text);
  if (holder?.pid === 0) return false;
  if (holder?.host === hostname() && !isAlive(holder.pid)) return false;
  const beaten = await stat(file).catch(() => undefined);
  return beaten !== undefined && Date.now() - beaten.mtimeMs < DEAD_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function holderOf(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined; // Being written.
  }
}
