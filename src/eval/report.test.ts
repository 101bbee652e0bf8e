// The report: what it shows of which runs, that it fetches and runs nothing, and that no name or formula gets out of
// its place in the page.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { breakdown } from './breakdown.ts';
import { markDifferences } from './diff.ts';
import { html } from './html.ts';
import { grade, type Pair, score } from './metrics.ts';
import { type ReportRun, reportPage } from './report.ts';
import { misreadSamples } from './report_cases.ts';

let folder = '';
let image = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-report-'));
  image = join(folder, 'a.png');
  await sharp({ create: { width: 40, height: 20, channels: 3, background: '#fff' } })
    .png()
    .toFile(image);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(name: string, pairs: readonly Pair[]): ReportRun {
  const samples = pairs.map((pair, i) => ({ name: `sample ${i}`, images: [image], grade: grade(pair) }));
  const grades = samples.map((sample) => sample.grade);
  return { name, samples, scores: score(grades), breakdown: breakdown(grades), dropped: 0 };
}
const page = (runs: readonly ReportRun[], worst = 10): Promise<string> =>
  reportPage({ title: 'Report', data: 'val.json', runs, worst });

const RIGHT: Pair = { truth: 'x^2', prediction: 'x^{2}' };
const WRONG: Pair = { truth: '\\frac{a}{b}', prediction: '\\frac{a}{c}' };
const WORSE: Pair = { truth: '\\alpha+y', prediction: '1' };

describe('reportPage', () => {
  it('compares runs and marks the better number', async () => {
    const text = await page([
      run('first', [RIGHT, WRONG]),
      run('second', [RIGHT, { ...WRONG, prediction: WRONG.truth }]),
    ]);
    expect(text).toMatch(/Exact match, canonical tokens.*?number">0\.5000.*?number best">1\.0000/s);
    expect(text).toContain('first');
    expect(text).toContain('second');
  });

  it('shows the worst cases first, as many as asked, drawn and as tokens', async () => {
    const text = await page([run('model', [RIGHT, WRONG, WORSE])], 1);
    expect(text).toContain('1 of the 2 formulas');
    expect(text).toContain('sample 2');
    expect(text).not.toContain('sample 0');
    expect(text).not.toContain('sample 1');
    expect(text).toContain('<img src="data:image/png;base64,');
    expect(text).toContain('class="katex-html"');
    expect(text).toContain('<math xmlns=');
    expect(text).toContain('<mark>\\alpha</mark>');
  });

  it('says when all was read, when nothing was written and when KaTeX cannot draw', async () => {
    expect(await page([run('model', [RIGHT])])).toContain('Every formula was read without an error.');
    const text = await page([
      run('model', [
        { truth: 'x', prediction: '' },
        { truth: 'x', prediction: '\\frac{' },
      ]),
    ]);
    expect(text).toContain('nothing to draw');
    expect(text).toContain('KaTeX cannot draw it');
  });

  it('lets nothing out of its place and asks the network for nothing', async () => {
    const bad = '<script>alert(1)</script><img src=x onerror=alert(1)>"\'';
    const links = '\\href{javascript:alert(1)}{x}\\includegraphics{http://example.org/a.png}\\htmlData{a=b}{x}';
    const text = await page([
      run(bad, [
        { truth: bad, prediction: links },
        { truth: links, prediction: bad },
      ]),
    ]);
    const markup = text.replace(/<style>.*?<\/style>/s, '');
    expect(markup).not.toMatch(/<script|<img src=x|<link|<iframe|<a[\s>]/i);
    // Every attribute that could load or run something holds data that is there.
    for (const [, value] of markup.matchAll(/\s(?:src|href|xlink:href|on\w+)\s*=\s*"([^"]*)"/gi))
      expect(value).toMatch(/^data:image\/png;base64,/);
    for (const [, url] of text.matchAll(/url\(([^)]{0,30})/g)) expect(url).toMatch(/^data:font\/woff2;base64,/);
    expect(text).toContain('content="default-src &#39;none&#39;;');
    // KaTeX shows the names of what it must not do.
    expect(text).toContain('<mtext>\\href</mtext>');
  });
});

it('takes the samples that some run misread, by their mean edit distance', () => {
  const first = run('first', [WRONG, RIGHT, WORSE]);
  const second = { ...run('second', [WRONG, RIGHT, WORSE]), samples: run('second', [WRONG, RIGHT]).samples };
  const misread = misreadSamples([first, second]);
  expect(misread.map(({ name, readings }) => [name, readings.map((reading) => reading.run)])).toEqual([
    ['sample 2', ['first']],
    ['sample 0', ['first', 'second']],
  ]);
});

it('takes a sample that stands twice in a run as two, each with what the other runs made of it', () => {
  const twice = (name: string, ...predictions: string[]): ReportRun =>
    run(
      name,
      predictions.map((prediction) => ({ truth: 'a+b', prediction })),
    );
  const read = misreadSamples([twice('first', 'a', 'a+c'), twice('second', 'b', 'a+b')]).map(({ readings }) =>
    readings.map((reading) => `${reading.run}: ${reading.grade.pair.prediction}`),
  );
  expect(read).toEqual([
    ['first: a', 'second: b'],
    ['first: a+c', 'second: a+b'],
  ]);
});

it('marks what a longest common subsequence leaves out', () => {
  const marked = markDifferences(['a', 'b', 'c', 'd'], ['b', 'x', 'd', 'e']);
  const shown = (list: readonly { token: string; differs: boolean }[]): string =>
    list.map(({ token, differs }) => (differs ? `[${token}]` : token)).join('');
  expect(shown(marked.truth)).toBe('[a]b[c]d');
  expect(shown(marked.prediction)).toBe('b[x]d[e]');
  expect(markDifferences([], ['a'])).toEqual({ truth: [], prediction: [{ token: 'a', differs: true }] });
});

it('escapes texts and keeps markup', () => {
  expect(html`<p title="${'"<&\''}">${[html`<b>${'<'}</b>`, html`x`]}${null}${3}</p>`.text).toBe(
    '<p title="&quot;&lt;&amp;&#39;"><b>&lt;</b>x3</p>',
  );
});
