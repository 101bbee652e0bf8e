// The dashboard in a real browser, over runs that the tracker writes: live points, predictions, comparing, editing and
// deleting, keyboard and language; and that nothing in a run can execute. What runs in the page is given as text.
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Served, serve } from '../../src/server/serve.ts';
import { createRun } from '../../src/tracker/run.ts';
import { launchBrowser, missingBrowser } from './browser.ts';
import { ExampleRun } from './example_runs.ts';
import { EVIL_FORMULAS, EVIL_TEXT, writeHostileRun } from './hostile_run.ts';

const reason = missingBrowser();
const title = reason === null ? 'the dashboard in a browser' : `the dashboard in a browser (skipped: ${reason})`;

describe.skipIf(reason !== null)(title, () => {
  let root: string;
  let served: Served;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let live: ExampleRun;
  /** what the page complained of; every test must end without */
  let complaints: string[];

  const start = (folder: string, options: Partial<Parameters<typeof ExampleRun.start>[0]> = {}): Promise<ExampleRun> =>
    ExampleRun.start({ folder: join(root, folder), name: folder, formulas: 3, ...options });

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'texlens-dashboard-'));
    for (const [name, rank, seed] of [
      ['base-r8', 8, 1],
      ['wide-r32', 32, 2],
    ] as const) {
      const example = await start(name, { rank, seed, tags: [`rank${rank}`] });
      example.train(40);
      await example.evaluate();
      example.train(40);
      await example.evaluate();
      await example.run.finish();
    }
    live = await start('live-run');
    live.train(20);
    await live.run.flush();
    served = await serve({ root, host: '127.0.0.1', port: 0, intervalMs: 100 });
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await served?.close();
    await live?.run.finish();
    await rm(root, { recursive: true, force: true });
  });

  async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<void> {
    context = await browser.newContext({ locale: 'en-US', viewport: { width: 1200, height: 800 }, ...options });
    page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== new URL(served.url).origin) complaints.push(`request: ${request.url()}`);
    });
    await page.goto(served.url);
  }

  beforeEach(async () => {
    complaints = [];
    await open();
    await page.locator('table.runs').waitFor();
  });

  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  const row = (name: string) => page.locator('table.runs tbody tr', { hasText: name });
  const openRun = async (name: string): Promise<void> => {
    await row(name).getByRole('link').click();
    await page.locator('.run-head h1', { hasText: name }).waitFor();
  };
  const tab = (name: string) => page.locator('.tabs').getByRole('link', { name }).click();

  it('shows a run that starts, and points that come, without a reload', async () => {
    await page.evaluate("document.body.setAttribute('data-loaded-once', '')");
    const late = await start('late-run');
    late.train(5);
    await row('late-run').waitFor();
    await openRun('late-run');
    const chart = page.locator('[data-chart="train/learning_rate"]');
    await chart.locator('.legend b').waitFor();
    await page.locator('.facts b', { hasText: /^5$/ }).waitFor();
    const before = await chart.locator('.legend b').textContent();
    late.train(200);
    await page.locator('.facts b', { hasText: /^205$/ }).waitFor();
    await expect.poll(() => chart.locator('.legend b').textContent(), { timeout: 10_000 }).not.toBe(before);
    await late.run.finish();
    await page.locator('.run-head .status', { hasText: 'Finished' }).waitFor();
    expect(await page.locator('body[data-loaded-once]').count()).toBe(1);
  });

  it('draws what was logged: the curve spans the steps, zooms and comes back', async () => {
    await openRun('base-r8');
    const plot = page.locator('[data-chart="train/loss"] .plot');
    await plot.locator('canvas').waitFor();
    // Pixels of the first run's blue, #3b5bdb.
    const inked = (): Promise<number> =>
      page.evaluate(`(() => {
        const canvas = document.querySelector('[data-chart="train/loss"] canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i] < 120 && data[i + 2] > 180 && data[i + 3] > 200) count++;
        return count;
      })()`);
    await expect.poll(inked).toBeGreaterThan(100);
    await plot.focus();
    const requested = page.waitForRequest((request) => /series.*from=/.test(request.url()));
    await page.keyboard.press('+');
    const url = new URL((await requested).url());
    // Steps 1 to 80, a quarter cut off at either side.
    expect(Number(url.searchParams.get('from'))).toBeCloseTo(1 + 79 / 4, 6);
    expect(Number(url.searchParams.get('to'))).toBeCloseTo(80 - 79 / 4, 6);
    const reset = page.getByRole('button', { name: 'Reset the zoom' });
    await reset.waitFor();
    await plot.focus();
    await page.keyboard.press('0');
    await reset.waitFor({ state: 'detached' });
  });

  it('shows predictions as mathematics beside their images, with the differing tokens marked', async () => {
    await openRun('base-r8');
    await tab('Predictions');
    await page.locator('.prediction').first().waitFor();
    expect(await page.locator('.prediction').count()).toBe(3);
    await expect.poll(() => page.locator('.prediction .katex').count()).toBe(6);
    const decoded =
      "document.querySelector('.picture').decode().then(() => document.querySelector('.picture').naturalWidth)";
    expect(await page.evaluate(decoded)).toBeGreaterThan(10);
    // Back to the first evaluation, where readings go wrong most.
    await page.getByRole('slider').focus();
    await page.keyboard.press('ArrowLeft');
    await page.locator('.step-value', { hasText: '40' }).waitFor();
    await page.getByLabel('Wrong ones only').check();
    const cards = page.locator('.prediction');
    await expect.poll(() => cards.count()).toBeGreaterThan(0);
    expect(await page.locator('.verdict.good').count()).toBe(0);
    for (const card of await cards.all())
      expect((await card.locator('ins').count()) + (await card.locator('del').count())).toBeGreaterThan(0);
  });

  it('compares runs chosen by keyboard', async () => {
    await page.locator('th.name button').click();
    await page.locator('th.name[aria-sort="descending"]').waitFor();
    await page.locator('[data-row="0"]').focus();
    await page.keyboard.press('x');
    await page.keyboard.press('End');
    await page.keyboard.press('x');
    await page.locator('.selection', { hasText: '2 selected' }).waitFor();
    await page.keyboard.press('c');
    await page.locator('.compared li').first().waitFor();
    expect(await page.locator('.compared li').allTextContents()).toEqual(
      expect.arrayContaining([expect.stringContaining('wide-r32'), expect.stringContaining('base-r8')]),
    );
    await expect.poll(() => page.locator('[data-chart="train/loss"] .legend li').count()).toBe(2);
    await page.keyboard.press('4');
    const lines = page.locator('table.config tbody').first().locator('tr');
    await lines.first().waitFor();
    const keys = await lines.locator('th').allTextContents();
    expect(keys.sort()).toEqual(['lora.alpha', 'lora.r', 'train.seed']);
    expect((await lines.filter({ hasText: 'lora.r' }).locator('td').allTextContents()).sort()).toEqual(['32', '8']);
    await page.keyboard.press('2');
    await page.locator('.prediction').first().waitFor();
    expect(await page.locator('.prediction').first().locator('.pane').count()).toBe(4);
  });

  it('scrolls a thousand runs by keyboard with a screenful of rows', async () => {
    const many = join(root, 'many');
    const text = await readFile(join(root, 'base-r8', 'run.json'), 'utf8');
    for (let i = 0; i < 1000; i++) {
      const id = String(i).padStart(21, '0');
      await mkdir(join(many, id), { recursive: true });
      await writeFile(join(many, id, 'run.json'), JSON.stringify({ ...JSON.parse(text), id, name: `run number ${i}` }));
    }
    const own = await serve({ root: many, host: '127.0.0.1', port: 0 });
    const other = await context.newPage();
    await other.goto(own.url);
    await other.locator('.page-head', { hasText: '1,000 runs' }).waitFor();
    await other.locator('th.name button').click();
    await other.locator('th.name[aria-sort]').waitFor();
    await other.locator('[data-row="0"]', { hasText: 'run number 999' }).waitFor();
    await other.locator('[data-row="0"]').focus();
    await other.keyboard.press('End');
    await other.locator('[data-row="999"]', { hasText: 'run number 0' }).waitFor();
    expect(await other.locator('table.runs tbody tr').count()).toBeLessThan(60);
    await other.keyboard.press('Enter');
    await other.locator('.run-head h1', { hasText: 'run number 0' }).waitFor();
    await own.close();
    await rm(many, { recursive: true });
  });

  it('keeps notes and tags that are edited', async () => {
    await row('wide-r32').hover();
    await row('wide-r32').getByRole('button', { name: /Edit/ }).click();
    await page.getByRole('textbox', { name: 'Notes' }).fill('a wide one');
    await page.getByRole('textbox', { name: 'Tags' }).fill('wide, keep');
    await page.getByRole('button', { name: 'Save' }).click();
    await row('wide-r32').locator('.note', { hasText: 'a wide one' }).waitFor();
    expect(await row('wide-r32').locator('.tag').allTextContents()).toEqual(['wide', 'keep']);
    await page.getByRole('searchbox').fill('keep');
    await expect.poll(() => page.locator('table.runs tbody tr').count()).toBe(1);
  });

  it('leaves tags as they are whose field was not touched, whatever stands in them', async () => {
    const tags = ['with, comma', 'long'.repeat(20)];
    const odd = await start('odd', { formulas: 1, tags });
    await odd.run.finish();
    await row('odd').hover();
    await row('odd').getByRole('button', { name: /Edit/ }).click();
    await page.getByRole('textbox', { name: 'Notes' }).fill('noted');
    await page.getByRole('button', { name: 'Save' }).click();
    await row('odd').locator('.note', { hasText: 'noted' }).waitFor({ state: 'attached' }); // the long tag leaves it no room
    expect(await row('odd').locator('.tag').allTextContents()).toEqual(tags);
    await rm(odd.run.folder, { recursive: true });
    await row('odd').waitFor({ state: 'detached' });
  });

  it('deletes a run after asking, and not when the answer is no', async () => {
    const doomed = await start('doomed', { formulas: 1 });
    await doomed.run.finish();
    await row('doomed').hover();
    await row('doomed')
      .getByRole('button', { name: /Delete/ })
      .click();
    await page.locator('dialog[open]').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    expect(await row('doomed').count()).toBe(1);
    await row('doomed').hover();
    await row('doomed')
      .getByRole('button', { name: /Delete/ })
      .click();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    await row('doomed').waitFor({ state: 'detached' });
  });

  it('follows the console', async () => {
    await openRun('live-run');
    await tab('Console');
    await page.locator('.notice', { hasText: 'Nothing was printed' }).waitFor();
    const log = join(live.run.folder, 'console.jsonl');
    await appendFile(log, `${JSON.stringify({ time: Date.now(), level: 'err', line: 'step 21 loss 0.5' })}\n`);
    await page.locator('.console .line.err', { hasText: 'step 21 loss 0.5' }).waitFor();
  });

  it('can be used by keyboard: help, tabs, the way back', async () => {
    await page.keyboard.press('?');
    await page.locator('dialog', { hasText: 'Keyboard' }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    await page.keyboard.type('base-r8');
    await expect.poll(() => page.locator('table.runs tbody tr').count()).toBe(1);
    await page.locator('[data-row="0"]').focus();
    await page.keyboard.press('Enter');
    await page.locator('.run-head h1', { hasText: 'base-r8' }).waitFor();
    await page.keyboard.press('4');
    await page.locator('table.config').first().waitFor();
    await page.keyboard.press('u');
    await page.locator('table.runs').waitFor();
  });

  it('speaks the language of the browser, and the one chosen ever after', async () => {
    expect(await page.locator('h1').textContent()).toBe('Runs');
    await page.getByTestId('language').click();
    await page.locator('h1', { hasText: '运行' }).waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN');
    await page.reload();
    await page.locator('h1', { hasText: '运行' }).waitFor();
    await context.close();
    await open({ locale: 'zh-CN' });
    await page.locator('h1', { hasText: '运行' }).waitFor();
  });

  it('follows the light and the dark of the system', async () => {
    const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    await page.emulateMedia({ colorScheme: 'dark' });
    await expect.poll(ground).toBe('rgb(16, 18, 22)');
    await page.emulateMedia({ colorScheme: 'light' });
    await expect.poll(ground).toBe('rgb(246, 246, 244)');
  });

  it('charts every card that nvidia-smi tells of', async () => {
    const bin = join(root, '.bin');
    await mkdir(bin);
    const cards = ['35, 1024, 4096, 60, 120.5', '70, 2048, 4096, 65, 250'];
    await writeFile(join(bin, 'nvidia-smi'), `#!/bin/sh\nprintf '${cards.join('\\n')}\\n'\n`, { mode: 0o755 });
    vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
    const run = await createRun({
      folder: join(root, 'cards'),
      name: 'cards',
      captureConsole: false,
      systemEverySeconds: 0.05,
    });
    await new Promise((wait) => setTimeout(wait, 500));
    await run.finish();
    vi.unstubAllEnvs();
    await openRun('cards');
    await tab('System');
    for (const name of ['GPU (%)', 'GPU memory (%)', 'GPU memory (MB)', 'GPU power (W)', 'GPU temperature (°C)']) {
      const chart = page.locator(`[data-chart="${name}"]`);
      await chart.scrollIntoViewIfNeeded(); // charts are drawn when they are seen
      await chart.locator('canvas').waitFor();
      for (const card of ['GPU 0', 'GPU 1']) await chart.getByText(card, { exact: true }).first().waitFor();
    }
  });

  it('says what is missing: no such run, and a server that went away', async () => {
    await page.goto(`${served.url}#/runs/nothing-here/charts`);
    await page.locator('.notice', { hasText: 'This run is not here' }).waitFor();
    // The 404 that the browser logs is the point of this test.
    complaints = complaints.filter((text) => !text.includes('404'));
    const own = await serve({ root, host: '127.0.0.1', port: 0, intervalMs: 100 });
    const other = await context.newPage();
    await other.goto(own.url);
    await other.locator('.connection.on').waitFor();
    await own.close();
    await other.locator('.connection.off').waitFor();
  });

  it('executes nothing that a run carries', async () => {
    await mkdir(join(root, 'hostile'));
    await writeHostileRun(join(root, 'hostile'));
    await page.addInitScript(
      "addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))",
    );
    await page.goto(served.url);
    await row(EVIL_TEXT).waitFor();
    await openRun(EVIL_TEXT);
    await page.locator(`[data-chart] .legend b`).first().waitFor();
    for (const [key, ready] of [
      ['2', '.prediction'],
      ['3', '.artifacts pre'],
      ['4', 'table.config'],
      ['5', '.machine'],
      ['6', '.console .line'],
    ] as const) {
      await page.keyboard.press(key);
      await page.locator(ready).first().waitFor();
      if (key !== '2') continue;
      await expect
        .poll(() => page.locator('.pane .katex, .formula-failure').count(), { timeout: 20_000 })
        .toBeGreaterThanOrEqual(2 * EVIL_FORMULAS.length);
      expect(
        await page.locator('main a[href*="script"], main a[href^="http"], main [onclick], main .pwn').count(),
      ).toBe(0);
    }
    expect(await page.locator('main script, main iframe, main img[src="x"]').count()).toBe(0);
    expect(await page.evaluate('globalThis.pwned')).toBeUndefined();
  });
});
