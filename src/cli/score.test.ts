// texlens score through the command line: files of any model's predictions, compared, told and reported.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lastJson, texlensHere } from '../../test/e2e/cli.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-score-'));
  await writeFile(at('a.csv'), 'image,truth,prediction\nnone.png,x^2,x^{2}\nb.png,"a, b","a, c"\n');
  await writeFile(at('b.jsonl'), '{"gt": "x^2", "pred": "y"}\n{"gt": "a, b"}\n');
  await writeFile(at('cdm.json'), '[{"img_id": "case_1", "gt": "y = 2z + 3x", "pred": "y = 2x + 3z"}]');
  await writeFile(at('other.tsv'), 'wanted\tread\nx\tx\n');
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

it.each([
  ['other.tsv', 'no column truth, gt, ground_truth or the like; it has wanted, read. Name one with --truth-column.'],
  ['empty.csv', 'has no rows'],
  ['absent.csv', 'cannot be read'],
])('refuses %s by name', async (name, message) => {
  const { code, stdout } = await texlensHere('score', at(name), '--json');
  expect(code).toBe(2);
  const { error } = lastJson(stdout) as { error: { message: string } };
  expect(error.message).toContain(at(name));
  expect(error.message).toContain(message);
});
