// The states of a source's files, by which a resumed preparation knows that its source is still the same.
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { InputError, messageOf } from '../shared/errors.ts';
import type { InputFile } from './source.ts';

const AT_ONCE = 64;
const READ_BYTES = 1 << 20;

/** Size and SHA-256 of a file's content. */
export async function inputFile(path: string, expected: string): Promise<InputFile> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let bytes = 0;
  try {
    const handle = await open(path);
    try {
      for (let read = -1; read !== 0; bytes += read) {
        read = (await handle.read(buffer, 0, READ_BYTES)).bytesRead;
        hash.update(buffer.subarray(0, read));
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${messageOf(error)}); expected ${expected}.`);
  }
  return { name: path, bytes, hash: hash.digest('hex') };
}

/** One state for many images: their names, sizes and times of change, which is quicker than to read them all. */
export async function imageFiles(name: string, paths: Iterable<string> | AsyncIterable<string>): Promise<InputFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  const part: string[] = [];
  const flush = async (): Promise<void> => {
    const states = await Promise.all(part.map((path) => stat(path).catch(() => undefined)));
    for (const [i, state] of states.entries()) {
      hash.update(`${part[i]}\0${state?.size}\0${state?.mtimeMs}\n`);
      bytes += state?.size ?? 0;
    }
    part.length = 0;
  };
  for await (const path of paths) {
    part.push(path);
    if (part.length === AT_ONCE) await flush();
  }
  await flush();
  return { name, bytes, hash: hash.digest('hex') };
}
