// The page that reads formulas in a real browser: pictures dropped, pasted and chosen, streamed, shown as mathematics,
// edited and copied; and that nothing a model writes can execute. What runs in the page is given as text.
import type { Server } from 'node:http';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { drawSample } from '../../src/data/synthetic/sample.ts';
import { encodePng } from '../../src/formats/png.ts';
import { listen } from '../../src/server/listen.ts';
import { createReadingApp } from '../../src/server/reading/app.ts';
import type { Engine } from '../../src/server/reading/contract.ts';
import { openEngine } from '../../src/server/reading/engine.ts';
import { ReadingQueue } from '../../src/server/reading/queue.ts';
import { launchBrowser, missingBrowser } from '../dashboard/browser.ts';
import { EVIL_FORMULAS } from '../dashboard/hostile_run.ts';
import { StubEngine } from './stub_engine.ts';

const reason = missingBrowser();
const title = reason === null ? 'the reading page' : `the reading page (skipped: ${reason})`;

describe.skipIf(reason !== null)(title, () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let server: Server | undefined;
  /** what the page complained of; every test must end without */
  let complaints: string[];

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
  });
  beforeEach(() => {
    complaints = [];
  });
  afterEach(async () => {
    await context.close();
    server?.closeAllConnections();
    server?.close();
    expect(complaints).toEqual([]);
  });

  async function open(engine: Engine, options: Parameters<Browser['newContext']>[0] = {}): Promise<void> {
    const queue = new ReadingQueue(engine, { batch: 4, most: 8 });
    const access = { host: '127.0.0.1' };
    const app = createReadingApp({ queue, access, settings: { name: 'tiny', model: 'tiny', maxNewTokens: 64 } });
    const listening = await listen(app.fetch, { ...access, port: 0, usualPort: 0 });
    server = listening.server;
    context = await browser.newContext({ locale: 'en-US', viewport: { width: 1100, height: 800 }, ...options });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== 'blob:' && protocol !== 'data:' && origin !== new URL(listening.url).origin)
        complaints.push(`request: ${request.url()}`);
    });
    await page.addInitScript(
      "addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))",
    );
    await page.goto(listening.url);
    await page.locator('.drop').waitFor();
  }

  const png = async (index: number): Promise<Buffer> =>
    encodePng(await drawSample({ seed: 1, style: 'printed', level: 'tiny' }, index));

  /** Gives files to the page by an event, as the browser does when they are dropped or pasted. */
  const give = (how: 'drop' | 'paste', ...files: { name: string; bytes: Buffer | string }[]): Promise<void> =>
    page.evaluate(`(() => {
      const data = new DataTransfer();
      for (const { name, base64 } of ${JSON.stringify(files.map(({ name, bytes }) => ({ name, base64: Buffer.from(bytes).toString('base64') })))})
        data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type: 'image/png' }));
      const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
      const event = ${how === 'drop'} ? new DragEvent('drop', options) : new ClipboardEvent('paste', options);
      document.body.dispatchEvent(event);
    })()`);

  const item = (name: string) => page.locator('.item', { hasText: name });
  const latexOf = (name: string) => item(name).getByRole('textbox');
  const copied = async (name: string, form: string): Promise<string> => {
    await item(name)
      .getByRole('button', { name: `Copy: ${form}`, exact: true })
      .click();
    await item(name)
      .locator('.copies [role=status]', { hasText: `${form}: Copied` })
      .waitFor();
    return page.evaluate('navigator.clipboard.readText()');
  };

  it('reads a picture that is dropped, with the bundled model', async () => {
    const engine = await openEngine({ device: 'cpu' });
    await open(engine);
    await page.locator('.served', { hasText: 'tiny · CPU' }).waitFor();
    await give('drop', { name: 'formula.png', bytes: await png(3) });
    await item('formula.png').getByText('Confidence').waitFor();
    await item('formula.png').locator('.item-formula .katex').waitFor();
    expect(await latexOf('formula.png').inputValue()).toMatch(/\S/);
    const decoded =
      "(() => { const i = document.querySelector('.item img'); return i.decode().then(() => i.naturalWidth); })()";
    expect(await page.evaluate(decoded)).toBeGreaterThan(10);
    await engine.close();
  });

  it('shows what is written while it is written, then as people write it', async () => {
    const engine = new StubEngine(true);
    await open(engine);
    await give('paste', { name: 'a.png', bytes: 'x ^ { 2 }' });
    await item('a.png').getByText('Waiting…').waitFor();
    await expect.poll(() => engine.batches.length).toBe(1);
    engine.batches[0]!.write(0, 'x ^ ');
    await item('a.png').getByText('Reading…').waitFor();
    expect(await latexOf('a.png').inputValue()).toBe('x ^ ');
    expect(await item('a.png').locator('.formula-failure').count()).toBe(0); // it is not at its end yet
    expect(await item('a.png').getByRole('button', { name: 'Copy: LaTeX' }).isDisabled()).toBe(true);
    engine.batches[0]!.write(0, '{ 2 }');
    engine.batches[0]!.finish();
    await item('a.png').getByText('Confidence 50 %').waitFor();
    expect(await latexOf('a.png').inputValue()).toBe('x^{2}');
  });

  it('lists several, newest first, and copies each as LaTeX, between dollars and as MathML', async () => {
    await open(new StubEngine());
    const files = ['a + b', 'c'].map((text) => ({
      name: `${text}.png`,
      mimeType: 'image/png',
      buffer: Buffer.from(text),
    }));
    await page.getByTestId('chooser').setInputFiles(files);
    await page.getByText('2 formulas').waitFor();
    expect(await page.locator('.item h2').allTextContents()).toEqual(['c.png', 'a + b.png']);
    const name = 'a + b.png';
    await item(name).getByText('Confidence').waitFor();
    expect(await copied(name, 'LaTeX')).toBe('a+b');
    expect(await copied(name, '$…$')).toBe('$a+b$');
    expect(await copied(name, '$$…$$')).toBe('$$a+b$$');
    expect(await copied(name, 'MathML')).toMatch(/^<math .*<mi>a<\/mi><mo>\+<\/mo><mi>b<\/mi>.*<\/math>$/);
    await item('c.png').getByRole('button', { name: 'Remove c.png' }).click();
    expect(await page.locator('.item').count()).toBe(1);
    await page.getByRole('button', { name: 'Clear the list' }).click();
    expect(await page.locator('.item').count()).toBe(0);
  });

  it('sends pictures too whose kind the browser does not know', async () => {
    await open(new StubEngine());
    await page.getByTestId('chooser').setInputFiles({ name: 'scan', mimeType: '', buffer: Buffer.from('x') });
    await item('scan').getByText('Confidence').waitFor();
  });

  it('draws the formula anew as it is edited, and copies what it has become', async () => {
    await open(new StubEngine());
    await give('paste', { name: 'a.png', bytes: 'x' });
    await item('a.png').getByText('Confidence').waitFor();
    await latexOf('a.png').fill('\\frac{1}{y}');
    await item('a.png').locator('.katex .mfrac').waitFor();
    await item('a.png').getByText('edited').waitFor();
    expect(await copied('a.png', 'LaTeX')).toBe('\\frac{1}{y}');
    await latexOf('a.png').fill('\\frac{1');
    await item('a.png').getByText('Cannot be rendered').waitFor();
    await item('a.png').getByRole('button', { name: 'Copy: MathML' }).click();
    await item('a.png').getByText('MathML: Not copied').waitFor();
  });

  it('says why a picture was not read, and reads it when it is asked again', async () => {
    const engine = new StubEngine(true);
    await open(engine);
    await give('drop', { name: 'a.png', bytes: 'x' });
    await expect.poll(() => engine.batches.length).toBe(1);
    engine.batches[0]!.fail(new Error('out of memory'));
    await item('a.png').getByRole('alert').filter({ hasText: 'out of memory' }).waitFor();
    await item('a.png').getByRole('button', { name: 'Try again' }).click();
    await expect.poll(() => engine.batches.length).toBe(2);
    engine.batches[1]!.finish();
    await item('a.png').getByText('Confidence').waitFor();
    complaints = complaints.filter((text) => !text.includes('500')); // the browser logs the answer
  });

  it('can be used by keyboard, in Chinese, and remembers nothing', async () => {
    await open(new StubEngine(), { locale: 'zh-CN' });
    await page.locator('h1', { hasText: '公式图片转 LaTeX' }).waitFor();
    const choosing = page.waitForEvent('filechooser'); // so early, for Chromium is told of it on the side
    await page.keyboard.press('?');
    await page.locator('dialog', { hasText: '选择图片' }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('o');
    await (await choosing).setFiles({ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('x') });
    await item('a.png').getByText('置信度').waitFor();
    await page.reload();
    await page.locator('.drop').waitFor();
    expect(await page.locator('.item').count()).toBe(0);
  });

  it('executes nothing that a model writes', async () => {
    const engine = new StubEngine();
    await open(engine);
    const formulas = EVIL_FORMULAS.filter((text) => !/[\ud800-\udfff]/.test(text)); // a lone surrogate is no UTF-8
    await give('drop', ...formulas.map((bytes, i) => ({ name: `${i}.png`, bytes })));
    await expect.poll(() => page.getByText('Confidence').count()).toBe(formulas.length);
    await expect
      .poll(() => page.locator('.item-formula .katex, .item-formula .formula-failure').count())
      .toBeGreaterThanOrEqual(formulas.length);
    expect(await page.locator('main a, main script, main iframe, main [onclick], main img[src="x"]').count()).toBe(0);
    expect(await page.evaluate('globalThis.pwned')).toBeUndefined();
  });
});
