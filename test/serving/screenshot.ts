// Takes the picture of the reading page in docs/: the bundled model reads three formulas, one of them in a photograph and one
// on a dark ground.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { drawSample } from '../../src/data/synthetic/sample.ts';
import { decodeImage, type RgbImage } from '../../src/formats/image.ts';
import { encodePng } from '../../src/formats/png.ts';
import { serveModel } from '../../src/server/reading/serve.ts';
import { coloured, padded, photographed, scaled } from '../pictures.ts';

const FORMULAS = [
  'x = \\frac { - b \\pm \\sqrt { b ^ { 2 } - 4 a c } } { 2 a }',
  '\\sum _ { n = 1 } ^ { \\infty } \\frac { 1 } { n ^ { 2 } } = \\frac { \\pi ^ { 2 } } { 6 }',
  '\\int _ { 0 } ^ { \\infty } e ^ { - x ^ { 2 } } d x = \\frac { \\sqrt { \\pi } } { 2 }',
];

/** How each of them looks. */
const LOOKS: readonly (readonly [name: string, look: (image: RgbImage) => RgbImage])[] = [
  ['slide.png', (image) => coloured(padded(image, 12), [235, 238, 245], [24, 27, 36])],
  ['photo.png', (image) => photographed(padded(scaled(image, 1.6), 24))],
  ['paper.png', (image) => image],
];

/** The page with its pictures read, ready to be taken. */
export async function readingPage(browser: Browser, take: (png: Buffer) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'texlens-reading-'));
  await writeFile(join(folder, 'formulas.txt'), FORMULAS.join('\n'));
  const options = { formulas: [join(folder, 'formulas.txt')], grammar: 0, seed: 1 } as const;
  const files = await Promise.all(
    LOOKS.map(async ([name, look], i) => {
      const sample = await drawSample({ ...options, style: 'printed', level: 'easy' }, i);
      const { rgb, ...size } = look(await decodeImage(encodePng(sample)));
      return { name, mimeType: 'image/png', buffer: encodePng({ ...size, pixels: rgb, channels: 3 }) };
    }),
  );
  const served = await serveModel({
    reader: { device: 'cpu' },
    settings: { name: 'texlens-base', model: 'texlens-base', maxNewTokens: 256 },
    ...{ host: '127.0.0.1', port: 0, batch: 8, most: 64 },
  });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 1000 },
    deviceScaleFactor: 2,
    colorScheme: 'light',
    locale: 'en-US',
  });
  const page = await context.newPage();
  await page.goto(served.url);
  await page.getByTestId('chooser').setInputFiles(files);
  await page
    .getByText('Confidence')
    .nth(files.length - 1)
    .waitFor();
  await page
    .locator('.item-formula .katex')
    .nth(files.length - 1)
    .waitFor();
  await page.evaluate('document.fonts.ready');
  await take(await page.screenshot());
  await context.close();
  await served.close();
  await rm(folder, { recursive: true });
}
