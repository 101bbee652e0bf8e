// What a run takes over from the training of its base (texlens.json) where its configuration says nothing: the prompt, and
// how pictures are tidied and sized, so that it trains on what the base reads. What no one says gets the defaults.
import { type Instruction, readTrainedSettings, type TrainedSettings } from '../models/qwen2_vl/trained_settings.ts';
import { say } from '../shared/log.ts';
import { DEFAULT_PROMPT } from './dataset.ts';
import type { RunConfig } from './run_schema.ts';

/** The tutorial's 36 to 72 image tokens. */
const USUAL_PIXELS = { minPixels: 28_224, maxPixels: 56_448 };

/** The configuration with its `image` filled in, and the instruction of the run; says what is the base's. */
export async function fillFromBase(config: RunConfig): Promise<{ config: RunConfig; instruction: Instruction }> {
  const { model, data } = config;
  const trained = await readTrainedSettings(model);
  const image = fillImage(config.image, trained);
  const instruction =
    data.prompt !== undefined
      ? { prompt: data.prompt, replaces: true }
      : { prompt: trained?.prompt ?? DEFAULT_PROMPT, replaces: trained?.replaces ?? false };
  if (trained) {
    const given = new Map(Object.entries(config.image));
    const taken = Object.entries(image)
      .filter(([key, value]) => value !== undefined && given.get(key) === undefined)
      .map(([key, value]) => `image.${key} ${value}`);
    if (data.prompt === undefined) taken.unshift(`data.prompt ${JSON.stringify(instruction.prompt)}`);
    else if (trained.replaces && data.prompt !== trained.prompt)
      say(
        `note: ${model} was trained with the prompt ${JSON.stringify(trained.prompt)} alone; a run with another one ` +
          '(data.prompt) starts with a base that reads hardly anything, and needs more steps.',
      );
    if (taken.length > 0) say(`as ${model} was trained, where the configuration says nothing: ${taken.join(', ')}`);
  }
  return { config: { ...config, image }, instruction };
}

export function fillImage(image: RunConfig['image'], trained: TrainedSettings | null): RunConfig['image'] {
  const tidied = { ...image, tidy_em: image.tidy_em ?? trained?.tidy?.em };
  const { min_pixels: least, max_pixels: most, resized_height: height } = image;
  if (height !== undefined) return tidied;
  const sizing = trained?.sizing ?? USUAL_PIXELS;
  if ('resizedHeight' in sizing && least === undefined && most === undefined)
    return { ...tidied, resized_height: sizing.resizedHeight, resized_width: sizing.resizedWidth };
  const { minPixels, maxPixels } = 'minPixels' in sizing ? sizing : USUAL_PIXELS;
  return {
    ...tidied,
    min_pixels: least ?? Math.min(minPixels, most ?? minPixels),
    max_pixels: most ?? Math.max(maxPixels, least ?? 0),
  };
}
