// A lock between processes: a file that its holder touches every few seconds. One left by a process that was killed, here
// or on another machine that shares the folder, holds nobody up.
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const BEAT_MS = 3000;
/** Without a beat for so long the holder is gone, wherever it ran. */
const DEAD_MS = 20_000;
/** Without its content for so long it will not come: its writer was killed. */
const WRITTEN_MS = 1000;

export interface Holder {
  /** 0 when nobody holds it any more */
  readonly pid: number;
  readonly host: string;
}

export interface Lock {
  /** Lets others in; the file goes, or keeps `left` for whoever comes. */
  release(left?: object): Promise<void>;
}

/** Takes the lock with a note of what it is for; where another process has it, says which instead. */
export async function takeLock(file: string, note: object = {}): Promise<Lock | Holder> {
  const content = JSON.stringify({ pid: process.pid, host: hostname(), ...note });
  for (;;) {
    try {
      await writeFile(file, content, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error; // another user's, say: it will not become readable
      return undefined;
    });
    if (found === undefined) continue;
    const holder = holderOf(found);
    if (await isHeld(file, holder)) {
      if (holder) return holder;
      await sleep(20);
    } else await moveAside(file, found);
  }
  const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => {}), BEAT_MS);
  beat.unref();
  return {
    async release(left) {
      clearInterval(beat);
      if (left === undefined) await rm(file, { force: true });
      else await writeFile(file, JSON.stringify({ pid: 0, host: hostname(), ...left })).catch(() => {});
    },
  };
}

/** Moved rather than removed: another process may have taken it since it was read, and gets it back. */
async function moveAside(file: string, found: string): Promise<void> {
  const aside = `${file}.${process.pid}`;
  const moved = await rename(file, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await readFile(aside, 'utf8').catch(() => found)) !== found) await rename(aside, file).catch(() => {});
  await rm(aside, { force: true });
}

async function isHeld(file: string, holder: Holder | undefined): Promise<boolean> {
  if (holder?.pid === 0) return false;
  if (holder?.host === hostname() && !isAlive(holder.pid)) return false;
  const beaten = await stat(file).catch(() => undefined);
  return beaten !== undefined && Date.now() - beaten.mtimeMs < (holder ? DEAD_MS : WRITTEN_MS);
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
