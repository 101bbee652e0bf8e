// A picture and its negative, one on a large page, and a blank one, read by the bundled model through the command line.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { drawSample } from '../../src/data/synthetic/sample.ts';
import { decodeImage } from '../../src/formats/image.ts';
import { encodePng } from '../../src/formats/png.ts';
import { mapped, padded } from '../pictures.ts';
import { jsonLines, lastJson, texlensHere } from './cli.ts';

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
  await write('page.png', padded(clean, 500));
  await write(
    'blank.png',
    mapped(clean, () => 240),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const rest = { confidence: expect.any(Number), look: expect.any(String), stop: expect.not.stringMatching('blank') };
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

it('reads the same on a page of a thousand pixels', async () => {
  const { stdout } = await texlensHere('predict', at('clean.png'), at('page.png'), '--device', 'cpu', '--json');
  const [clean, page] = jsonLines(stdout);
  expect(page!.latex).toBe(clean!.latex);
});

it('says that a picture is blank, and reads the others', async () => {
  const args = ['predict', at('blank.png'), at('clean.png'), '--device', 'cpu'];
  const { code, stdout, stderr } = await texlensHere(...args, '--json');
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('blank.png: blank: nothing is written on it');
  expect(jsonLines(stdout)).toEqual([
    { image: at('blank.png'), latex: '', confidence: 0, look: 'first', stop: 'blank' },
    { image: at('clean.png'), latex: expect.stringMatching(/\S/), ...rest },
  ]);
  // The model sees it where nothing is tidied.
  const untidied = await texlensHere('predict', at('blank.png'), '--device', 'cpu', '--no-tidy', '--json');
  expect(jsonLines(untidied.stdout)).toEqual([{ image: at('blank.png'), latex: expect.any(String), ...rest }]);
});

it('scores a blank picture as read as nothing, and says so', async () => {
  const entry = {
    id: '1',
    conversations: [
      { role: 'user', value: 'blank.png' },
      { role: 'assistant', value: 'x' },
    ],
  };
  await writeFile(at('val.json'), JSON.stringify([entry]));
  const { code, stdout, stderr } = await texlensHere('eval', '--data', at('val.json'), '--device', 'cpu', '--json');
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/blank\.png: blank, and read as nothing; its label is x\n/);
  expect(lastJson(stdout)).toMatchObject({ count: 1, exactMatch: 0, editDistance: 1 });
});

it('--no-tidy takes them as they are', async () => {
  const [clean, negative] = await read('--no-tidy');
  expect(negative).not.toEqual(clean);
});
