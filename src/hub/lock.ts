// One process at a time fetches into a folder; others wait. The lock outlives a process that was killed or failed: it then
// tells that the folder is incomplete, and holds nobody up.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, RunError } from '../shared/errors.ts';
import { type Lock, takeLock } from '../shared/lock.ts';

const NAME = '.texlens-fetching';

/** True when a fetch of this folder was begun and not finished. */
export async function isUnfinished(root: string, folder: string): Promise<boolean> {
  const text = await readFile(join(root, NAME), 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  try {
    return (JSON.parse(text) as { folder?: string }).folder === folder;
  } catch {
    return false; // Being written.
  }
}

/** Runs a task as the only one below `root`; waits for another process that is at it. */
export async function locked<T>(
  root: string,
  folder: string,
  say: (line: string) => void,
  task: () => Promise<T>,
): Promise<T> {
  const lock = await mkdir(root, { recursive: true })
    .then(() => take(join(root, NAME), folder, say))
    .catch((error: unknown) => {
      throw new RunError(
        `${root}: cannot be written to (${messageOf(error)}); choose another folder by --out or --cache-dir.`,
      );
    });
  try {
    const result = await task();
    await lock.release();
    return result;
  } catch (error) {
    // Nobody holds it any more, but the folder is incomplete.
    await lock.release({ folder });
    throw error;
  }
}

async function take(file: string, folder: string, say: (line: string) => void): Promise<Lock> {
  for (let told = false; ; told = true) {
    const taken = await takeLock(file, { folder });
    if ('release' in taken) return taken;
    if (!told) say(`process ${taken.pid} is fetching the same; waiting for it`);
    await sleep(200);
  }
}
