// Writing files so that what is on disk is always whole.
import { rename, rm, writeFile } from 'node:fs/promises';

/** Writes a file whole or not at all. */
export async function writeAtomically(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
