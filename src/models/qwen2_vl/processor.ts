// Qwen2-VL's processor: images to patches, bit for bit as transformers' Pillow-based one, and conversations to token ids.
import { join } from 'node:path';
import { z } from 'zod';
import { chatPrompt, loadTemplate } from '../../formats/chat_template.ts';
import { roundEven } from '../../formats/half.ts';
import { decodeImage, type RgbImage, resizePixels } from '../../formats/image.ts';
import { readOptionalJson } from '../../formats/json_file.ts';
import type { Pixels } from '../../formats/png.ts';
import type { FrameOptions } from '../../formats/tidy/frame.ts';
import { type Tidied, tidy, tidyImage } from '../../formats/tidy/tidy.ts';
import { Tokenizer } from '../../formats/tokenizer.ts';
import { InputError } from '../../shared/errors.ts';
import { PIXEL_DEVIATION, PIXEL_MEAN, type Qwen2VLConfig, readConfig } from './config.ts';
import type { Grid } from './positions.ts';

/** How images are sized; stored with an adapter and used again at inference. */
export type ImageSizing =
  | { readonly minPixels: number; readonly maxPixels: number }
  | { readonly resizedHeight: number; readonly resizedWidth: number };

/** Pictures are cleaned before they are sized (formats/tidy): writing is cut out and its em becomes so many pixels. */
export interface Tidying {
  readonly em: number;
}

export interface ResizedImage {
  readonly grid: Grid;
  /** its patches: see `patchify` */
  readonly pixels: Uint8Array;
  /** true where tidying found nothing written on it */
  readonly isBlank?: boolean;
}

/** Limits of a snapshot that names none. */
const DEFAULT_SIZING = { minPixels: 3136, maxPixels: 1_003_520 };
/** Limits of an explicit size, as in qwen-vl-utils. */
const EXPLICIT_LIMITS = { minPixels: 3136, maxPixels: 12_845_056 };
const MAX_RATIO = 200;

/** Both sides as multiples of `factor`, the ratio kept as nearly as the pixel limits allow. */
export function smartResize(
  height: number,
  width: number,
  factor: number,
  minPixels: number,
  maxPixels: number,
): [number, number] {
  const ratio = Math.max(height, width) / Math.min(height, width);
  if (ratio > MAX_RATIO)
    throw new InputError(
      `${width}×${height} pixels: the aspect ratio is ${ratio.toFixed(1)}, expected at most ${MAX_RATIO}; crop the image`,
    );
  let h = Math.max(factor, roundEven(height / factor) * factor);
  let w = Math.max(factor, roundEven(width / factor) * factor);
  if (h * w > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels);
    h = Math.max(factor, Math.floor(height / beta / factor) * factor);
    w = Math.max(factor, Math.floor(width / beta / factor) * factor);
  } else if (h * w < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width));
    h = Math.ceil((height * beta) / factor) * factor;
    w = Math.ceil((width * beta) / factor) * factor;
  }
  return [h, w];
}

/**
 * An image's patches, u8 [h·w, 3·patch²], in the order of the grid's blocks of merge × merge; element c·p² + y·p + x of a
 * patch. What normalises them, and shows a still image to every frame of the patch, is part of the programs (vision.ts).
 */
export function patchify({ width, height, channels, pixels }: Pixels, vision: Qwen2VLConfig['vision']): Uint8Array {
  const { patchSize: size, mergeSize: merge } = vision;
  const area = size * size;
  const out = new Uint8Array(width * height * 3);
  const block = size * merge;
  let at = 0;
  for (let top = 0; top < height; top += block)
    for (let left = 0; left < width; left += block)
      for (let r = 0; r < block; r += size)
        for (let c = 0; c < block; c += size, at += 2 * area) {
          for (let y = 0; y < size; y++) {
            let from = ((top + r + y) * width + left + c) * channels;
            if (channels === 1)
              for (let x = 0; x < size; x++, at++) {
                const value = pixels[from++]!;
                out[at] = value;
                out[at + area] = value;
                out[at + 2 * area] = value;
              }
            else
              for (let x = 0; x < size; x++, from += 3, at++) {
                out[at] = pixels[from]!;
                out[at + area] = pixels[from + 1]!;
                out[at + 2 * area] = pixels[from + 2]!;
              }
          }
        }
  return out;
}

const same = (expected: readonly number[]) => (found: readonly number[]) =>
  found.length === expected.length && found.every((x, i) => Math.fround(x) === expected[i]);
const pixels = z.int().positive().nullish();

/** What is read of preprocessor_config.json; what this processor could not do as told is refused. */
const Preprocessor = z.looseObject({
  min_pixels: pixels,
  max_pixels: pixels,
  size: z
    .looseObject({ shortest_edge: pixels, longest_edge: pixels, min_pixels: pixels, max_pixels: pixels })
    .nullish(),
  patch_size: z.int().optional(),
  merge_size: z.int().optional(),
  temporal_patch_size: z.int().optional(),
  image_mean: z.array(z.number()).refine(same(PIXEL_MEAN), "only Qwen2-VL's own mean is supported").nullish(),
  image_std: z.array(z.number()).refine(same(PIXEL_DEVIATION), "only Qwen2-VL's own deviation is supported").nullish(),
  resample: z.literal(3, 'only 3 (bicubic) is supported').nullish(),
  rescale_factor: z
    .number()
    .refine((x) => Math.abs(x * 255 - 1) < 1e-9, 'only 1/255 is supported')
    .nullish(),
  do_resize: z.literal(true).nullish(),
  do_rescale: z.literal(true).nullish(),
  do_normalize: z.literal(true).nullish(),
  do_convert_rgb: z.literal(true).nullish(),
});

/** Pixel limits of preprocessor_config.json, or of the processor_config.json that transformers 5 writes. */
async function readSizing(folder: string, { vision }: Qwen2VLConfig): Promise<ImageSizing> {
  let file = join(folder, 'preprocessor_config.json');
  let json = await readOptionalJson(file);
  if (json === null) {
    file = join(folder, 'processor_config.json');
    json = ((await readOptionalJson(file)) as { image_processor?: unknown } | null)?.image_processor ?? {};
  }
  const parsed = Preprocessor.safeParse(json);
  if (!parsed.success) throw new InputError(`${file}: ${z.prettifyError(parsed.error)}`);
  const p = parsed.data;
  const sizes = [
    ['patch_size', p.patch_size, vision.patchSize],
    ['merge_size', p.merge_size, vision.mergeSize],
    ['temporal_patch_size', p.temporal_patch_size, vision.temporalPatchSize],
  ] as const;
  for (const [name, found, expected] of sizes)
    if (found !== undefined && found !== expected)
      throw new InputError(`${file}: ${name} is ${found}, but config.json's vision_config says ${expected}.`);
  const minPixels = p.min_pixels ?? p.size?.shortest_edge ?? p.size?.min_pixels ?? DEFAULT_SIZING.minPixels;
  const maxPixels = p.max_pixels ?? p.size?.longest_edge ?? p.size?.max_pixels ?? DEFAULT_SIZING.maxPixels;
  if (minPixels > maxPixels) throw new InputError(`${file}: min_pixels ${minPixels} exceeds max_pixels ${maxPixels}.`);
  return { minPixels, maxPixels };
}

const asPixels = ({ rgb, ...size }: RgbImage): Pixels => ({ ...size, pixels: rgb, channels: 3 });

export class Processor {
  private last?: { readonly images: number; readonly prompt: string; readonly ids: readonly number[] };

  private constructor(
    readonly config: Qwen2VLConfig,
    readonly tokenizer: Tokenizer,
    private readonly template: string | null,
    readonly sizing: ImageSizing,
    readonly tidying: Tidying | undefined,
  ) {}

  /** @param sizing overrides the snapshot's preprocessor_config.json */
  static async load(folder: string, sizing?: ImageSizing, tidying?: Tidying): Promise<Processor> {
    const config = await readConfig(folder);
    const stored = await readSizing(folder, config);
    return new Processor(config, await Tokenizer.load(folder), await loadTemplate(folder), sizing ?? stored, tidying);
  }

  /** Decodes, if wanted tidies, and resizes an image. `name` is what errors call it. */
  async image(
    source: string | Uint8Array,
    name = typeof source === 'string' ? source : 'image',
  ): Promise<ResizedImage> {
    if (!this.tidying) return this.picture(asPixels(await decodeImage(source, name)), name);
    return this.tidied(await tidyImage(source, name, { ...this.tidying, sides: this.sides(name) }));
  }

  /** The same of a picture that is decoded already. */
  picture(picture: Pixels, name = 'image'): ResizedImage {
    const sides = this.sides(name);
    if (this.tidying) return this.tidied(tidy({ ...picture, data: picture.pixels }, { ...this.tidying, sides }));
    const [height, width] = sides(picture.height, picture.width);
    return this.patches(resizePixels(picture, width, height));
  }

  /** The sides that an image is resized to, which errors call by its name. */
  private sides(name: string): FrameOptions['sides'] {
    const { sizing } = this;
    const { patchSize, mergeSize } = this.config.vision;
    const [limits, fixed] =
      'minPixels' in sizing ? [sizing, null] : [EXPLICIT_LIMITS, [sizing.resizedHeight, sizing.resizedWidth] as const];
    return (...found) => {
      const [height, width] = fixed ?? found;
      try {
        return smartResize(height, width, patchSize * mergeSize, limits.minPixels, limits.maxPixels);
      } catch (error) {
        throw error instanceof InputError ? new InputError(`${name}: ${error.message}`) : error;
      }
    };
  }

  private tidied({ isBlank, ...picture }: Tidied): ResizedImage {
    return { ...this.patches(picture), isBlank };
  }

  private patches(picture: Pixels): ResizedImage {
    const { patchSize } = this.config.vision;
    const grid: Grid = [1, picture.height / patchSize, picture.width / patchSize];
    return { grid, pixels: patchify(picture, this.config.vision) };
  }

  /** Ids of a user turn with one placeholder an image; those of the last one are kept, for samples mostly ask the same. */
  private asked(images: number, prompt: string): readonly number[] {
    if (this.last?.images !== images || this.last.prompt !== prompt) {
      const ids = this.tokenizer.encode(chatPrompt(this.template, images, prompt));
      this.last = { images, prompt, ids };
    }
    return this.last.ids;
  }

  /** Ids of a user turn (images first, then the prompt) up to where the assistant begins to write. */
  prompt(grids: readonly Grid[], prompt: string): Int32Array {
    const ids = this.asked(grids.length, prompt);
    const merge = this.config.vision.mergeSize ** 2;
    let image = 0;
    const expanded = ids.flatMap((id) => {
      if (id !== this.config.imageTokenId) return [id];
      const [t, h, w] = grids[image++] ?? [0, 0, 0];
      return new Array<number>((t * h * w) / merge).fill(id);
    });
    if (image !== grids.length)
      throw new InputError(
        `the chat template wrote ${image} image placeholders for ${grids.length} images; check the snapshot's template and image_token_id`,
      );
    return Int32Array.from(expanded);
  }

  /**
   * The prompt followed by the supervised answer, which ends with `<|im_end|>`. Nothing is ever cut: a sample of more
   * than `maxTokens` tokens is an InputError with its name.
   */
  sample(
    grids: readonly Grid[],
    prompt: string,
    answer: string,
    { name = 'sample', maxTokens = Number.POSITIVE_INFINITY }: { name?: string; maxTokens?: number } = {},
  ): { ids: Int32Array; labelStart: number } {
    const head = this.prompt(grids, prompt);
    const tail = this.tokenizer.encode(`${answer}<|im_end|>`);
    const end = this.tokenizer.idOf('<|im_end|>');
    const { imageTokenId, videoTokenId, eosTokenIds } = this.config;
    const reserved = new Set([imageTokenId, videoTokenId, end, ...eosTokenIds]);
    const stray = tail.slice(0, -1).find((id) => reserved.has(id));
    if (stray !== undefined) {
      const token = this.tokenizer.decode([stray], { skipSpecial: false });
      throw new InputError(`${name}: the answer contains the control token ${token}; remove it from the label.`);
    }
    const length = head.length + tail.length;
    if (length > maxTokens)
      throw new InputError(
        `${name}: ${length} tokens (${head.length} of image and prompt, ${tail.length} of answer), expected at most ` +
          `${maxTokens}; lower the image's max_pixels, shorten the label or raise the limit.`,
      );
    return { ids: Int32Array.from([...head, ...tail]), labelStart: head.length };
  }

  /** Ids that end an answer. */
  get stopIds(): number[] {
    const end = this.tokenizer.idOf('<|im_end|>');
    return [...new Set([...this.config.eosTokenIds, ...(end === null ? [] : [end])])];
  }
}
