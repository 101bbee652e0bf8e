// Samples that both sides of bench/fidelity.ts see: real formulas set and drawn by texlens, 504 × 112 pixels (72 image
// tokens), kept as samples.json; patches.f32 beside it has the very pixel values that go into the models.
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { resizeBicubic } from '../../src/formats/image.ts';
import { decodePng, encodePng } from '../../src/formats/png.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import { PIXEL_DEVIATION, PIXEL_MEAN } from '../../src/models/qwen2_vl/config.ts';
import type { Grid } from '../../src/models/qwen2_vl/positions.ts';
import { patchify } from '../../src/models/qwen2_vl/processor.ts';
import { Random } from '../../src/shared/random.ts';
import { QWEN2_VL_2B, sampleEncoder } from './model.ts';

const GRID: Grid = [1, 8, 36];
/** Pixels of a patch. */
const AREA = 14 * 14;
const [HEIGHT, WIDTH] = [GRID[1] * 14, GRID[2] * 14];
/** Longer answers would not fit the 208 tokens that a sample is meant to have. */
const MOST_ANSWER_TOKENS = 80;
/** Formulas of more lines than a picture of the data sets has. */
const HEIGHTS = [28, 120] as const;

interface Kept {
  readonly latex: string;
  readonly ids: number[];
  readonly labelStart: number;
  readonly grid: Grid;
  /** grey, base64 */
  readonly png: string;
}

/** Draws the first `count` formulas of the file that can be drawn, and keeps them in the folder. */
export async function drawSamples(
  folder: string,
  tokenizerFile: string,
  formulasFile: string,
  count: number,
): Promise<void> {
  // MathJax is needed here alone, not on the machine with the card.
  const { typeset } = await import('../../src/data/synthetic/typeset.ts');
  const { draw } = await import('../../src/data/synthetic/picture.ts');
  const { STYLE_SETS } = await import('../../src/data/synthetic/style.ts');
  const { look, limits } = STYLE_SETS.printed;
  const encode = sampleEncoder(tokenizerFile);
  const kept: Kept[] = [];
  const formulas = (await readFile(formulasFile, 'utf8')).split('\n').map((line) => line.trim());
  for (const [i, latex] of formulas.entries()) {
    if (kept.length === count) break;
    if (latex === '') continue;
    const { ids, labelStart } = encode(latex, GRID);
    if (ids.length - labelStart > MOST_ANSWER_TOKENS) continue;
    const random = Random.from(5, i);
    const formula = await typeset(latex).catch(() => null);
    const drawn = formula && draw(formula, look(random), { ...limits, height: HEIGHTS }, random);
    if (!drawn) continue;
    const { pixels, width, height } = drawn;
    const rgb = Uint8Array.from({ length: width * height * 3 }, (_, n) => pixels[Math.floor(n / 3)]!);
    const sized = resizeBicubic({ width, height, rgb }, WIDTH, HEIGHT);
    const grey = sized.rgb.filter((_, n) => n % 3 === 0);
    const png = encodePng({ pixels: grey, width: WIDTH, height: HEIGHT, channels: 1 }).toString('base64');
    kept.push({ latex, ids: Array.from(ids), labelStart, grid: GRID, png });
  }
  if (kept.length < count)
    throw new Error(`${formulasFile}: ${kept.length} formulas can be drawn, expected at least ${count}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'samples.json'), JSON.stringify(kept));
}

export async function readSamples(folder: string): Promise<EncodedSample[]> {
  const kept = JSON.parse(await readFile(join(folder, 'samples.json'), 'utf8')) as Kept[];
  return kept.map(({ latex, ids, labelStart, grid, png }) => {
    const image = decodePng(Buffer.from(png, 'base64'));
    if (image?.channels !== 1) throw new Error(`samples.json: the picture of ${latex} is damaged`);
    const { width, height, data } = image;
    const pixels = patchify({ width, height, channels: 1, pixels: data }, QWEN2_VL_2B.vision);
    return { name: latex, ids: Int32Array.from(ids), labelStart, images: [{ grid, pixels }] };
  });
}

/** Writes the patches of all samples one after another, f32 [patches, 1176]. */
export async function writePatches(folder: string, samples: readonly EncodedSample[]): Promise<void> {
  const file = await open(join(folder, 'patches.f32'), 'w');
  for (const image of samples.flatMap(({ images }) => images)) {
    const patches = new Float32Array(2 * image.pixels.length);
    image.pixels.forEach((byte, i) => {
      const channel = Math.floor(i / AREA);
      const unit = Math.fround(Math.fround(byte / 255) - PIXEL_MEAN[channel % 3]!) / PIXEL_DEVIATION[channel % 3]!;
      for (const frame of [0, 1]) patches[(2 * channel + frame) * AREA + (i % AREA)] = unit;
    });
    await file.writeFile(new Uint8Array(patches.buffer));
  }
  await file.close();
}
