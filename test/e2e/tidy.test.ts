// A picture and its negative, read by the bundled model through the command line.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { drawSample } from '../../src/data/synthetic/sample.ts';
import { decodeImage } from '../../src/formats/image.ts';
import { encodePng } from '../../src/formats/png.ts';
import { mapped } from '../pictures.ts';
import { jsonLines, texlensHere } from './cli.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-tidy-'));
  const clean = await decodeImage(encodePng(await drawSample({ seed: 1, style: 'printed', level: 'tiny' }, 3)));
  const write = async (name: string, { rgb, width, height }: typeof clean): Promise<void> =>
    writeFile(at(name), encodePng({ pixels: rgb, width, height, channels: 3 }));
  await write('clean.png', clean);
  await write(
    'negative.png',
    mapped(clean, (value) => 255 - value),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const read = async (...flags: string[]): Promise<unknown[]> => {
  const args = ['predict', at('clean.png'), at('negative.png'), '--batch', '1', '--device', 'cpu', '--json', ...flags];
  const { code, stdout, stderr } = await texlensHere(...args);
  expect(code, stderr).toBe(0);
  return jsonLines(stdout).map(({ latex, confidence }) => ({ latex, confidence }));
};

it('reads them alike, for they are one picture when they are tidied', async () => {
  const [clean, negative] = await read();
  expect(clean).toMatchObject({ latex: expect.stringMatching(/\S/) });
  expect(negative).toEqual(clean);
});

it('--no-tidy takes them as they are', async () => {
  const [clean, negative] = await read('--no-tidy');
  expect(negative).not.toEqual(clean);
});
