// Writing files so that what is on disk is always whole.
import { rename, rm, writeFile } from 'node:fs/promises';

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
