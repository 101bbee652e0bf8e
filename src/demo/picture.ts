// Predictions beside truths as one picture: the image as it was read, then the truth and both readings, typeset.
import { readFile } from 'node:fs/promises';
import sharp, { type OverlayOptions } from 'sharp';
import { type Limits, type Look, PLAIN } from '../data/synthetic/look.ts';
import { draw } from '../data/synthetic/picture.ts';
import { typeset } from '../data/synthetic/typeset.ts';
import { encodePng } from '../formats/png.ts';
import { InputError } from '../shared/errors.ts';
import { Random } from '../shared/random.ts';

export interface Prediction {
  /** the file */
  readonly image: string;
  readonly truth: string;
  readonly base: string;
  readonly tuned: string;
}

const COLUMN = 400;
const ROW = 96;
const INK: Look['ink'] = [20, 20, 30];
const LIMITS: Limits = { width: [1, COLUMN], height: [28, ROW], smallestFont: 14 };
const WRONG: Look['ink'] = [190, 40, 40];
const RIGHT: Look['ink'] = [20, 120, 60];

/** Writes a PNG of four columns: image, truth, base, tuned; right readings are green, wrong ones red. */
export async function drawPredictions(predictions: readonly Prediction[], file: string): Promise<void> {
  const cells: OverlayOptions[] = [];
  const put = async (png: Buffer, row: number, column: number): Promise<void> => {
    const input = await sharp(png)
      .resize(COLUMN - 16, ROW - 8, { fit: 'inside', withoutEnlargement: true })
      .toBuffer();
    const { width, height } = await sharp(input).metadata();
    cells.push({
      input,
      left: column * COLUMN + Math.floor((COLUMN - width) / 2),
      top: row * ROW + Math.floor((ROW - height) / 2),
    });
  };
  for (const [column, title] of ['image', 'truth', 'base', 'tuned'].entries())
    await put(await printed(`\\text{${title}}`, INK), 0, column);
  for (const [i, { image, truth, base, tuned }] of predictions.entries()) {
    const ink = (reading: string) => (reading === truth ? RIGHT : WRONG);
    await put(await readFile(image), i + 1, 0);
    await put(await printed(truth, INK), i + 1, 1);
    await put(await printed(base, ink(base)), i + 1, 2);
    await put(await printed(tuned, ink(tuned)), i + 1, 3);
  }
  await sharp({
    create: { width: 4 * COLUMN, height: (predictions.length + 1) * ROW, channels: 3, background: '#ffffff' },
  })
    .composite(cells)
    .png()
    .toFile(file);
}

/** The formula in print; what is no formula is said to be none. */
async function printed(latex: string, ink: Look['ink']): Promise<Buffer> {
  const formula = await typeset(latex).catch((error: unknown) => {
    if (error instanceof InputError) return typeset('\\text{no LaTeX}');
    throw error;
  });
  const look: Look = { ...PLAIN, fontPx: 22, margins: [10, 8, 10, 8], ink };
  const picture = draw(formula, look, LIMITS, Random.from(0));
  return encodePng(picture ?? { pixels: new Uint8Array([255]), width: 1, height: 1, channels: 1 });
}
