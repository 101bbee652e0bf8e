// Qwen2-VL's processor: images to patches, bit for bit as transformers' Pillow-based one, and conversations to token ids.
import { join } from 'node:path';
import { z } from 'zod';
import { chatPrompt, loadTemplate } from '../../formats/chat_template.ts';
import { f32ToBf16, roundEven } from '../../formats/half.ts';
import { decodeImage, resizeBicubic } from '../../formats/image.ts';
import { readOptionalJson } from '../../formats/json_file.ts';
import { Tokenizer } from '../../formats/tokenizer.ts';
import { InputError } from '../../shared/errors.ts';
import { type Qwen2VLConfig, readConfig } from './config.ts';
import type { Grid } from './positions.ts';

/** How images are sized; stored with an adapter and used again at inference. */
export type ImageSizing =
  | { readonly minPixels: number; readonly maxPixels: number }
  | { readonly resizedHeight: number; readonly resizedWidth: number };

export interface ResizedImage {
  readonly grid: Grid;
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** Limits of a snapshot that names none. */
export const DEFAULT_SIZING = { minPixels: 3136, maxPixels: 1_003_520 };
/** Limits of an explicit size, as in qwen-vl-utils. */
const EXPLICIT_LIMITS = { minPixels: 3136, maxPixels: 12_845_056 };
const MAX_RATIO = 200;
const MEAN = [0.48145466, 0.4578275, 0.40821073].map(Math.fround);
const STD = [0.26862954, 0.26130258, 0.27577711].map(Math.fround);

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

/** Normalised value of each byte, [channel, byte]: f32(f64(u8)/255), then (x − mean)/std in float32. */
const LEVELS = Float32Array.from(
  { length: 3 * 256 },
  (_, i) => Math.fround(Math.fround((i & 255) * (1 / 255)) - MEAN[i >> 8]!) / STD[i >> 8]!,
);

/** The same in bfloat16. */
const BRAIN_LEVELS = f32ToBf16(LEVELS);

/**
 * Writes an image's normalised patches, channels·temporal·patch² numbers each, from element `at` of `out` on; element
 * c·T·p² + t·p² + y·p + x of a patch. A still image fills every temporal slot.
 * @param out float32, or bfloat16 in whole numbers
 */
export function patchify(
  image: ResizedImage,
  { vision }: Pick<Qwen2VLConfig, 'vision'>,
  out: Float32Array | Uint16Array,
  at: number,
): void {
  const { patchSize: size, mergeSize: merge, temporalPatchSize: frames } = vision;
  const [, rows, columns] = image.grid;
  const { rgb, width } = image; // once: pixels may come from disk
  const levels = out instanceof Uint16Array ? BRAIN_LEVELS : LEVELS;
  const area = size * size;
  const channel = frames * area;
  for (let blockRow = 0; blockRow < rows; blockRow += merge)
    for (let blockColumn = 0; blockColumn < columns; blockColumn += merge)
      for (let r = blockRow; r < blockRow + merge; r++)
        for (let c = blockColumn; c < blockColumn + merge; c++, at += 3 * channel) {
          let to = at;
          for (let y = 0; y < size; y++) {
            let from = ((r * size + y) * width + c * size) * 3;
            for (let x = 0; x < size; x++, from += 3, to++) {
              out[to] = levels[rgb[from]!]!;
              out[to + channel] = levels[256 + rgb[from + 1]!]!;
              out[to + 2 * channel] = levels[512 + rgb[from + 2]!]!;
            }
          }
          for (let first = at; first < at + 3 * channel; first += channel)
            for (let t = 1; t < frames; t++) out.copyWithin(first + t * area, first, first + area);
        }
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
  image_mean: z.array(z.number()).refine(same(MEAN), "only Qwen2-VL's own mean is supported").nullish(),
  image_std: z.array(z.number()).refine(same(STD), "only Qwen2-VL's own deviation is supported").nullish(),
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

export class Processor {
  private constructor(
    readonly config: Qwen2VLConfig,
    readonly tokenizer: Tokenizer,
    private readonly template: string | null,
    readonly sizing: ImageSizing,
  ) {}

  /** @param sizing overrides the snapshot's preprocessor_config.json */
  static async load(folder: string, sizing?: ImageSizing): Promise<Processor> {
    const config = await readConfig(folder);
    const stored = await readSizing(folder, config);
    return new Processor(config, await Tokenizer.load(folder), await loadTemplate(folder), sizing ?? stored);
  }

  /** Decodes and resizes an image. `name` is what errors call it. */
  async image(
    source: string | Uint8Array,
    name = typeof source === 'string' ? source : 'image',
  ): Promise<ResizedImage> {
    const decoded = await decodeImage(source, name);
    const { patchSize, mergeSize } = this.config.vision;
    const factor = patchSize * mergeSize;
    let target: [number, number];
    try {
      target =
        'minPixels' in this.sizing
          ? smartResize(decoded.height, decoded.width, factor, this.sizing.minPixels, this.sizing.maxPixels)
          : smartResize(
              this.sizing.resizedHeight,
              this.sizing.resizedWidth,
              factor,
              EXPLICIT_LIMITS.minPixels,
              EXPLICIT_LIMITS.maxPixels,
            );
    } catch (error) {
      throw error instanceof InputError ? new InputError(`${name}: ${error.message}`) : error;
    }
    const [height, width] = target;
    return { ...resizeBicubic(decoded, width, height), grid: [1, height / patchSize, width / patchSize] };
  }

  /** Ids of a user turn (images first, then the prompt) up to where the assistant begins to write. */
  prompt(grids: readonly Grid[], prompt: string): Int32Array {
    const text = chatPrompt(this.template, grids.length, prompt);
    const ids = this.tokenizer.encode(text);
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
