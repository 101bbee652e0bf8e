// Which of a model's, an adapter's and a user's words on tidying counts, and that they are never passed over.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createReferenceBackend } from '../../backends/reference/index.ts';
import { bundledModel } from '../bundled.ts';
import { loadModel } from './session.ts';

let untold: string;
beforeAll(async () => {
  untold = await mkdtemp(join(tmpdir(), 'texlens-session-'));
  await cp(bundledModel(), untold, { recursive: true });
  const settings = { prompt: 'LaTeX', sizing: { minPixels: 784, maxPixels: 50_176 } };
  await writeFile(join(untold, 'texlens.json'), JSON.stringify(settings));
});
afterAll(() => rm(untold, { recursive: true, force: true }));

const tidying = async (folder: string, tidy?: boolean) =>
  (await loadModel(folder, undefined, createReferenceBackend(), { tidy, fallbackPrompt: '' })).processor.tidying;

it('the bundled model tidies as it says; --no-tidy stops it', async () => {
  expect(await tidying(bundledModel())).toEqual({ em: expect.any(Number) });
  expect(await tidying(bundledModel(), true)).toEqual(await tidying(bundledModel()));
  expect(await tidying(bundledModel(), false)).toBeUndefined();
});

it('a model that says nothing takes pictures as they are, unless --tidy asks', async () => {
  expect(await tidying(untold)).toBeUndefined();
  expect(await tidying(untold, true)).toEqual({ em: 28 });
});

it('settings that are there and cannot be read are an error, not none', async () => {
  const folder = join(untold, 'unreadable');
  await cp(bundledModel(), folder, { recursive: true });
  await rm(join(folder, 'texlens.json'));
  await mkdir(join(folder, 'texlens.json'));
  await expect(tidying(folder)).rejects.toThrow('texlens.json: cannot be read');
});
