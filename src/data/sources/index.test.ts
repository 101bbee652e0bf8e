// The map of sources, its refusals, and how sources know their files.
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { open, sourceScene } from '../../../test/data/source_scene.ts';
import { SOURCES } from './index.ts';

const scene = sourceScene();
const { at } = scene;

it('the map holds every file of the folder', async () => {
  const files = (await readdir(new URL('.', import.meta.url)))
    .filter((name) => !name.endsWith('.test.ts') && name !== 'index.ts')
    .map((name) => name.replace(/\.ts$/, ''));
  expect(Object.keys(SOURCES).sort()).toEqual(files.sort());
  for (const [name, { form, load }] of Object.entries(SOURCES)) {
    expect(form.split(':')[0]).toBe(name);
    expect((await load()).open).toBeTypeOf('function');
  }
});

it('names unknown sources, missing paths and options that mean nothing', async () => {
  await expect(open('zip:x')).rejects.toThrow(/--source zip: unknown; expected one of synthetic, folder:PATH/);
  await expect(open('parquet')).rejects.toThrow(/expected parquet:PATH/);
  await expect(open('synthetic:x')).rejects.toThrow(/expected synthetic alone/);
  await expect(open('folder:x', { subset: 'small' })).rejects.toThrow(/--subset: means nothing to the source folder/);
  await expect(open('hf:a/b', { imageColumn: 'x', level: 'easy' })).rejects.toThrow(/--level: means nothing/);
});

it('a source knows its files by content, and loose images by size and time', async () => {
  await writeFile(at('a.png'), scene.pictures[0]!);
  await writeFile(at('labels.csv'), 'image,text\na.png,x\n');
  const files = async () => (await open(`folder:${scene.home}`)).files();
  const before = await files();
  expect(await files()).toEqual(before);
  await utimes(at('labels.csv'), 1, 1); // as a copy has it
  expect(await files()).toEqual(before);
  await utimes(at('a.png'), 1, 1);
  expect((await files())[1]).not.toEqual(before[1]);
  await writeFile(at('labels.csv'), 'image,text\na.png,y\n');
  expect((await files())[0]).not.toEqual(before[0]);
});
