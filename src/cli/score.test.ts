// texlens score through the command line: files of any model's predictions, compared, told and reported.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lastJson, texlensHere, texlensWithin } from '../../test/e2e/cli.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-score-'));
  await writeFile(at('a.csv'), 'image,truth,prediction\nnone.png,x^2,x^{2}\nb.png,"a, b","a, c"\n');
  await writeFile(at('b.jsonl'), '{"gt": "x^2", "pred": "y"}\n{"gt": "a, b"}\n');
  await writeFile(at('cdm.json'), '[{"img_id": "case_1", "gt": "y = 2z + 3x", "pred": "y = 2x + 3z"}]');
  await writeFile(at('other.tsv'), 'wanted\tread\nx\tx\n');
  await writeFile(at('lists.json'), '[["x", "y"]]');
  await writeFile(at('empty.csv'), 'truth,prediction\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('scores a file, with definitions', async () => {
  const { code, stdout, stderr } = await texlensHere('score', at('a.csv'), '--json');
  expect(code, stderr).toBe(0);
  // x^2 and x^{2} are one; of "a, b" and "a, c" one of three tokens differs: F1 2/3.
  expect(lastJson(stdout)).toMatchObject({
    count: 2,
    exactMatch: 0,
    exactMatchCanonical: 0.5,
    boxMatch: (1 + 0.667) / 2,
    boxMatchExact: 0.5,
    definitions: { boxMatch: expect.stringContaining('MathJax') },
  });
  expect(stderr).toContain('Box match');
  expect(stderr).toContain('prediction a, c');
});

it('compares files, and reports on one page', async () => {
  const report = at('pages/report.html');
  const { code, stdout, stderr } = await texlensHere('score', at('a.csv'), at('b.jsonl'), '--report', report, '--json');
  expect(code, stderr).toBe(0);
  // A prediction that is missing is wrong.
  const { runs } = lastJson(stdout) as { runs: Record<string, unknown>[] };
  expect(runs).toMatchObject([
    { name: at('a.csv'), boxMatchExact: 0.5 },
    { name: at('b.jsonl'), boxMatch: 0, exactMatchCanonical: 0, count: 2 },
  ]);
  const page = await readFile(report, 'utf8');
  for (const text of [at('a.csv'), at('b.jsonl'), 'Box match', 'b.png']) expect(page.includes(text), text).toBe(true);
});

it('takes what CDM’s evaluation takes', async () => {
  const { stdout } = await texlensHere('score', at('cdm.json'), '--json');
  expect(lastJson(stdout)).toMatchObject({ count: 1, boxMatch: 0.714 });
});

it('takes columns of any name', async () => {
  const columns = ['--truth-column', 'wanted', '--prediction-column', 'read'];
  const { stdout } = await texlensHere('score', at('other.tsv'), ...columns, '--json');
  expect(lastJson(stdout)).toMatchObject({ count: 1, exactMatch: 1, boxMatch: 1 });
});

it('scores and reports in spite of a picture that is none, and says so in its place', async () => {
  await writeFile(at('pictures.csv'), 'image,truth,prediction\nlabels.png,x,y\n');
  await writeFile(at('labels.png'), 'no picture');
  const report = at('pictures.html');
  const { code, stdout } = await texlensHere('score', at('pictures.csv'), '--report', report, '--json');
  expect(code).toBe(0);
  expect(lastJson(stdout)).toMatchObject({ count: 1, exactMatch: 0 });
  expect(await readFile(report, 'utf8')).toMatch(/labels\.png: cannot be shown/);
});

it('opens the pictures of a report one after the other', async () => {
  const images = Array.from({ length: 400 }, (_, i) => `pictured-${i}.png`);
  const picture = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  for (const image of images) await writeFile(at(image), picture);
  await writeFile(at('many.csv'), `image,truth,prediction\n${images.map((image) => `${image},x,y`).join('\n')}\n`);
  const report = at('many.html');
  const args = ['score', at('many.csv'), '--worst', '400', '--report', report];
  const { code, stderr } = await texlensWithin('-n 150', ...args);
  expect(code, stderr).toBe(0);
  const page = await readFile(report, 'utf8');
  expect(page.match(/<img /g)).toHaveLength(400);
});

it('hears Ctrl-C while it scores a long file', async () => {
  const rows = Array.from({ length: 800 }, (_, i) => `"\\frac{a_{${i}}}{b}+\\sum_{k=1}^{n} x^k","\\frac{a_{${i}}}{c}"`);
  await writeFile(at('long.csv'), `truth,prediction\n${rows.join('\n')}\n`);
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    gaps.push(performance.now() - last);
    last = performance.now();
  }, 1);
  const started = performance.now();
  await texlensHere('score', at('long.csv'), '--show', '0');
  gaps.push(performance.now() - last);
  clearInterval(timer);
  // What a signal may have to wait, of what all of it takes: loading MathJax is the longest piece.
  expect(Math.max(...gaps)).toBeLessThan(0.5 * (performance.now() - started));
});

it('tells predictions to the terminal as text alone', async () => {
  await writeFile(at('escapes.jsonl'), `${JSON.stringify({ gt: 'x', pred: '\u001b]0;title\u0007\u001b[2Jx' })}\n`);
  const { stderr } = await texlensHere('score', at('escapes.jsonl'));
  expect(stderr).toContain('prediction');
  expect(stderr).not.toContain('\u001b');
});

it.each([
  ['other.tsv', 'no column truth, gt, ground_truth or the like; it has wanted, read. Name one with --truth-column.'],
  ['empty.csv', 'has no rows'],
  ['absent.csv', 'cannot be read'],
  ['lists.json', 'expected an array of objects'],
])('refuses %s by name', async (name, message) => {
  const { code, stdout } = await texlensHere('score', at(name), '--json');
  expect(code).toBe(2);
  const { error } = lastJson(stdout) as { error: { message: string } };
  expect(error.message).toContain(at(name));
  expect(error.message).toContain(message);
});
