// Writing files so that what is on disk is always whole, where a person says.
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { InputError, messageOf } from './errors.ts';

/** Makes the folder of a file that is written later, so that a wrong path is told before the work; `flag` asked for it. */
export async function readyFile(file: string, flag: string): Promise<void> {
  if ((await stat(file).catch(() => null))?.isDirectory())
    throw new InputError(`${flag} ${file}: it is a folder; expected the name of a file.`);
  await readyFolder(dirname(resolve(file)), `${flag} ${file}`);
}

/** Makes a folder; `asked` is the flag and what it says. */
export async function readyFolder(folder: string, asked: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw new InputError(`${asked}: its folder cannot be made (${messageOf(error)}); choose another place.`);
  });
}

let writes = 0;

/** Writes a file whole or not at all; `staging` is where it grows, by default a name that no other write has. */
export async function writeAtomically(
  file: string,
  text: string | Iterable<string>,
  staging = `${file}.${process.pid}.${writes++}.tmp`,
): Promise<void> {
  try {
    // Flushed before it has its name, for a loss of power too (Node 20.9 knows no `flush` and goes without).
    await writeFile(staging, typeof text === 'string' ? text : inChunks(text), { flush: true });
    await rename(staging, file);
  } catch (error) {
    await rm(staging, { force: true });
    throw error;
  }
}

/** Small parts joined, for each one given to writeFile is a write of its own. */
function* inChunks(parts: Iterable<string>): Generator<string> {
  let chunk = '';
  for (const part of parts) {
    chunk += part;
    if (chunk.length < 1 << 16) continue;
    yield chunk;
    chunk = '';
  }
  yield chunk;
}
