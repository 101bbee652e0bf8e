// Writing files so that what is on disk is always whole.
import { rename, rm, writeFile } from 'node:fs/promises';

/** Writes a file whole or not at all; `staging` is where it grows. */
export async function writeAtomically(
  file: string,
  text: string | Iterable<string>,
  staging = `${file}.${process.pid}.tmp`,
): Promise<void> {
  try {
    await writeFile(staging, typeof text === 'string' ? text : inChunks(text));
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
