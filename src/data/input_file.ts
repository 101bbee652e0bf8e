// The states of a source's files, by which a resumed preparation knows that its source is still the same.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { InputError, messageOf } from '../shared/errors.ts';
import type { InputFile } from './source.ts';

const AT_ONCE = 64;

/** Size and SHA-256 of a file's content. */
export async function inputFile(path: string, expected: string): Promise<InputFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
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
