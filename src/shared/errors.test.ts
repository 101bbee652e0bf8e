// What the system refuses is told in words, whoever says it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { messageOf, messageWithPath } from './errors.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-errors-'));
  await writeFile(join(folder, 'file'), '');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each([
  ['a missing file', ['none'], 'no such file or folder'],
  ['a folder read as a file', [], 'it is a folder'],
  ['a file taken for a folder', ['file', 'inner'], 'a part of its path is a file and no folder'],
  ['a name too long', ['x'.repeat(300)], 'its name is too long'],
])('%s', async (_, parts, reason) => {
  const path = join(folder, ...parts);
  const error: unknown = await readFile(path).catch((error: unknown) => error);
  expect(messageOf(error)).toBe(reason);
  // As it comes from a worker thread: a message and nothing else.
  expect(messageOf(new Error((error as Error).message))).toBe(reason);
  // Reading a folder fails without a path.
  expect(messageWithPath(error)).toBe(parts.length > 0 ? `${path}: ${reason}` : reason);
});

it('other errors keep their words', () => {
  expect(messageOf(new Error('ENOENT'))).toBe('ENOENT');
  expect(messageWithPath(new Error('a: b, c'))).toBe('a: b, c');
  expect(messageOf('text')).toBe('text');
});
