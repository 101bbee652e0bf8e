// What tidying pictures (src/formats/tidy) is worth to a model: held-out formulas made into the pictures people have, read
// as they are and after each step of tidying more. Edit distance and exact match; the last line is JSON.
// Run: node bench/run.mjs tidy data/held-out/val.json [--count 100] [--em 20,28] [--model models/base] [--device cpu]
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { openBackend } from '../src/backends/open.ts';
import { readConversations } from '../src/data/conversation.ts';
import { grade, score } from '../src/eval/metrics.ts';
import { decodeImage, type RgbImage } from '../src/formats/image.ts';
import { encodePng, type Pixels } from '../src/formats/png.ts';
import { components } from '../src/formats/tidy/components.ts';
import { inkLimit, levelsOf, stretch } from '../src/formats/tidy/contrast.ts';
import { decodePicture } from '../src/formats/tidy/decode.ts';
import { flatten } from '../src/formats/tidy/flatten.ts';
import { frame } from '../src/formats/tidy/frame.ts';
import { darkOnLight, type Grey } from '../src/formats/tidy/grey.ts';
import { opaque } from '../src/formats/tidy/opaque.ts';
import { findWriting } from '../src/formats/tidy/text_size.ts';
import { tidy } from '../src/formats/tidy/tidy.ts';
import { GENERATE_DEFAULTS, Generator } from '../src/generate/generator.ts';
import { readAll } from '../src/generate/read.ts';
import { smartResize } from '../src/models/qwen2_vl/processor.ts';
import { imagePrompt, loadModel } from '../src/models/qwen2_vl/session.ts';
import { DEFAULT_PROMPT } from '../src/train/dataset.ts';
import { coloured, jpeg, mapped, padded, photographed, scaled, transparent } from '../test/pictures.ts';
import { round } from './statistics.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '100' },
    em: { type: 'string', default: '28' },
    model: { type: 'string', default: 'models/base' },
    device: { type: 'string', default: 'cpu' },
  },
});
const [data] = positionals;
if (data === undefined) throw new Error('name the conversation JSON of the held-out formulas');

const png = ({ rgb, width, height }: RgbImage): Buffer => encodePng({ pixels: rgb, width, height, channels: 3 });
const grey = ({ data, ...size }: Grey): Pixels => ({ ...size, pixels: data, channels: 1 });

const VARIANTS: Readonly<Record<string, (image: RgbImage) => Buffer | Promise<Buffer>>> = {
  'as it is': png,
  'half the size': (image) => png(scaled(image, 0.5)),
  'twice the size': (image) => png(scaled(image, 2)),
  'four times the size': (image) => png(scaled(image, 4)),
  'white on black': (image) => png(mapped(image, (v) => 255 - v)),
  'blue on yellow': (image) => png(coloured(image, [20, 30, 200], [255, 255, 180])),
  'black on nothing': (image) => rgba(image, 0),
  'white on nothing': (image) => rgba(image, 255),
  'wide margins': (image) => png(padded(image, 60, 255)),
  'coarse JPEG': (image) => jpeg(image, 30),
  photograph: (image) => jpeg(photographed(scaled(padded(image, 30), 3)), 80, 1.5),
};

function rgba(image: RgbImage, level: number): Promise<Buffer> {
  const { data, width, height, channels } = transparent(image, level);
  return sharp(data, { raw: { width, height, channels } }).png().toBuffer();
}

const opened = await openBackend({ device: values.device as 'cpu' });
const { backend, precision } = opened;
const model = await loadModel(values.model, undefined, backend, {
  tidy: false,
  fallbackPrompt: DEFAULT_PROMPT,
  precision,
});
const { processor } = model;
const { sizing } = processor;
if (!('minPixels' in sizing)) throw new Error('the model resizes to one size; expected pixel limits');
const { patchSize, mergeSize } = processor.config.vision;
const sides = (height: number, width: number): [number, number] =>
  smartResize(height, width, patchSize * mergeSize, sizing.minPixels, sizing.maxPixels);

/** Each step with those before it; `tidy` itself, for each em, comes last. */
type Step = (bytes: Buffer) => Buffer | Promise<Buffer>;
const STEPS: Readonly<Record<string, Step>> = {
  none: (bytes) => bytes,
  colours: async (bytes) => encodePng(grey(darkOnLight(opaque(await decodePicture(bytes, 'picture'))))),
  'and light': async (bytes) => encodePng(grey(await evenly(bytes))),
  'and cut': async (bytes) => {
    const even = await evenly(bytes);
    const levels = levelsOf(even);
    const writing = levels && findWriting(components(even, inkLimit(levels)), even);
    return encodePng(levels && writing ? frame(even, levels, writing, { sides, em: writing.em }) : grey(even));
  },
  ...Object.fromEntries(
    values.em
      .split(',')
      .map((em): [string, Step] => [
        `and em ${em}`,
        async (bytes) => encodePng(tidy(await decodePicture(bytes, 'picture'), { sides, em: Number(em) })),
      ]),
  ),
};

async function evenly(bytes: Buffer): Promise<Grey> {
  const even = flatten(darkOnLight(opaque(await decodePicture(bytes, 'picture'))));
  const levels = levelsOf(even);
  return levels ? stretch(even, levels) : even;
}

const rows = (await readConversations(data)).slice(0, Number(values.count));
const clean = await Promise.all(rows.map((row) => decodeImage(row.images[0]!)));
const generator = new Generator(backend, processor.config, null, { precision });
const options = { ...GENERATE_DEFAULTS, maxNewTokens: 120, stopIds: processor.stopIds, batchSize: 16 };

interface Figures {
  readonly editDistance: number;
  readonly exactMatch: number;
}
const results: Record<string, Record<string, Figures>> = {};
const cell = (text: string): string => text.padStart(16);
console.log(`${'edit distance / exact match'.padEnd(28)}${Object.keys(STEPS).map(cell).join('')}`);
for (const [variant, make] of Object.entries(VARIANTS)) {
  const pictures = await Promise.all(clean.map(make));
  const of: Record<string, Figures> = {};
  results[variant] = of;
  for (const [name, step] of Object.entries(STEPS)) {
    const prompts = await Promise.all(
      pictures.map(async (picture) => imagePrompt(model, await step(picture), 'picture')),
    );
    const readings = await readAll(generator, processor.tokenizer, prompts, options);
    const scores = score(readings.map(({ text }, i) => grade({ truth: rows[i]!.text, prediction: text })));
    of[name] = { editDistance: round(scores.editDistance, 4), exactMatch: round(scores.exactMatch, 4) };
  }
  const told = Object.values(of).map((f) =>
    cell(`${f.editDistance.toFixed(3)} / ${(f.exactMatch * 100).toFixed(0)} %`),
  );
  console.log(`${variant.padEnd(28)}${told.join('')}`);
}
await generator.dispose();
console.log(JSON.stringify({ model: values.model, data, count: rows.length, results }));
