// Files that are written whole: one of the contents stands there, however many write it at once.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeAtomically } from './files.ts';

it('leaves one whole file where several are written under its name at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'texlens-files-'));
  const file = join(folder, 'a.txt');
  const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(100_000));
  await Promise.all(contents.map((text) => writeAtomically(file, text)));
  expect(contents).toContain(await readFile(file, 'utf8'));
  expect(await readdir(folder)).toEqual(['a.txt']);
  await rm(folder, { recursive: true });
});
