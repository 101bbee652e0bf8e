// Takes the pictures of the dashboard in docs/ from generated example runs, and that of the reading page (npm run
// screenshots). The runs' clock goes fast, so that what is written in a second looks like hours.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { serve } from '../../src/server/serve.ts';
import { readingPage } from '../serving/screenshot.ts';
import { launchBrowser } from './browser.ts';
import { ExampleRun } from './example_runs.ts';

const RealDate = Date;
const SPEED = 1500;
const started = RealDate.now();
const fast = (): number => Math.round(started - 5 * 3_600_000 + (RealDate.now() - started) * SPEED);
class FastDate extends RealDate {
  constructor(...args: [] | [number | string]) {
    super(args.length === 0 ? fast() : args[0]);
  }
  static override now = fast;
}
async function save(name: string, png: Buffer): Promise<void> {
  const path = `docs/${name}.png`;
  const { size } = await sharp(png).resize(1920).png({ palette: true, colours: 128, effort: 10 }).toFile(path);
  console.log(`${path}: ${Math.round(size / 1024)} KiB`);
}
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const RUNS = [
  { name: 'latex-ocr r16', lr: 1e-4, rank: 16, tags: ['baseline'], notes: 'the recipe as it stands' },
  { name: 'latex-ocr r64', lr: 1e-4, rank: 64, tags: ['ablation', 'rank'] },
  { name: 'latex-ocr r16 lr 5e-5', lr: 5e-5, rank: 16, tags: ['ablation', 'lr'], notes: 'half the rate' },
  { name: 'handwritten r32', lr: 2e-4, rank: 32, tags: ['handwritten'] },
] as const;

const root = await mkdtemp(join(tmpdir(), 'texlens-screenshots-'));
globalThis.Date = FastDate as DateConstructor;
let last: ExampleRun | undefined;
for (const [i, options] of RUNS.entries()) {
  const example = await ExampleRun.start({ ...options, folder: join(root, `run-${i}`), seed: i + 1 });
  const running = i === RUNS.length - 1;
  for (let evaluation = 0; evaluation < (running ? 3 : 5); evaluation++) {
    example.train(120);
    await example.evaluate();
    await wait(300);
  }
  if (running) last = example;
  else await example.run.finish();
}
await last!.run.flush();
globalThis.Date = RealDate;

const served = await serve({ root, host: '127.0.0.1', port: 0 });
const browser = await launchBrowser();
const { runs } = (await (await fetch(`${served.url}api/runs`)).json()) as { runs: { id: string; name: string }[] };
const id = (name: string): string => runs.find((run) => run.name === name)!.id;
const three = RUNS.slice(0, 3)
  .map(({ name }) => id(name))
  .join();

interface Picture {
  file: string;
  hash: string;
  ready: string;
  height?: number;
  dark?: boolean;
  locale?: string;
  stored?: Record<string, unknown>;
}

const PICTURES: readonly Picture[] = [
  { file: 'runs', hash: '#/', ready: 'table.runs', height: 400 },
  { file: 'charts', hash: `#/runs/${three}/charts`, ready: '[data-chart] .legend', stored: { smoothing: 0.9 } },
  {
    file: 'predictions',
    hash: `#/runs/${id('latex-ocr r64')}/predictions`,
    ready: '.katex',
    stored: { onlyWrong: true },
  },
  { file: 'configuration', hash: `#/runs/${three}/config`, ready: 'table.config', height: 480 },
  {
    file: 'dark',
    hash: `#/runs/${id('handwritten r32')}/charts`,
    ready: '[data-chart] .legend',
    dark: true,
    locale: 'zh-CN',
    stored: { smoothing: 0.6 },
  },
];

for (const { file, hash, ready, height = 800, dark = false, locale = 'en-US', stored = {} } of PICTURES) {
  const context = await browser.newContext({
    viewport: { width: 1280, height },
    deviceScaleFactor: 2,
    colorScheme: dark ? 'dark' : 'light',
    locale,
  });
  const page = await context.newPage();
  for (const [key, value] of Object.entries(stored))
    await page.addInitScript(
      `localStorage.setItem(${JSON.stringify(`texlens.${key}`)}, ${JSON.stringify(JSON.stringify(value))})`,
    );
  await page.goto(served.url + hash);
  // An early evaluation, with readings that are wrong.
  if (file === 'predictions') await page.getByRole('slider').fill('1');
  await page.locator(ready).first().waitFor();
  await page.evaluate('document.activeElement.blur()');
  await wait(1500);
  await save(`dashboard-${file}`, await page.screenshot());
  await context.close();
}
await readingPage(browser, (png) => save('serving', png));
await browser.close();
await served.close();
await rm(root, { recursive: true });
process.exit(0);
