// A model ready to read images: snapshot and optional adapter loaded into a backend, adapter merged.
import { stat } from 'node:fs/promises';
import type { Backend } from '../../backends/contract.ts';
import { DEFAULT_EM } from '../../formats/tidy/tidy.ts';
import type { Precision } from '../../graph/types.ts';
import { InputError } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import { bundledModel, orBundled } from '../bundled.ts';
import { loadAdapter, mergeLora, readAdapterConfig } from './adapter.ts';
import type { EncodedSample } from './batch.ts';
import { loadWeights } from './load.ts';
import { type ImageSizing, Processor } from './processor.ts';
import { type Instruction, readTrainedSettings } from './trained_settings.ts';

/** What a --model flag says of its default, which is `loadModel`'s. */
export const MODEL_HELP =
  'the base model: a folder, or modelscope:… or hf:…; by default the one of the adapter, else the one that comes with texlens';

/** What --tidy and --no-tidy say of themselves. */
export const TIDY_HELP =
  'clean pictures first: dark on light, even light, cropped, one size of writing; by default as the model was trained';
export const NO_TIDY_HELP = 'take pictures as they are';

export interface LoadedModel extends Instruction {
  readonly processor: Processor;
}

/** The model to use where none was named: the one that the adapter was trained on, else the bundled one. */
export async function defaultModel(adapter: string | undefined): Promise<string> {
  if (adapter === undefined) return bundledModel();
  const { base: named } = await readAdapterConfig(adapter);
  const base = named && orBundled(named);
  const found = base && (await stat(base).catch(() => null))?.isDirectory();
  if (!found)
    throw new InputError(
      `${adapter}: was trained on ${base ?? 'a base it does not name'}, which is no folder here; give its base with --model.`,
    );
  return base;
}

/**
 * Prompt, image sizing and tidying are the adapter's, else the model's own of its training, unless given; `tidy` asks for
 * tidying, or for none.
 */
export async function loadModel(
  folder: string | undefined,
  adapter: string | undefined,
  backend: Backend,
  given: { prompt?: string; sizing?: ImageSizing; tidy?: boolean; fallbackPrompt: string; precision?: Precision },
): Promise<LoadedModel> {
  const base = folder ?? (await defaultModel(adapter));
  const settings =
    (adapter === undefined ? null : await readTrainedSettings(adapter)) ?? (await readTrainedSettings(base));
  const tidying = (given.tidy ?? true) ? (settings?.tidy ?? (given.tidy ? { em: DEFAULT_EM } : undefined)) : undefined;
  const processor = await Processor.load(base, given.sizing ?? settings?.sizing, tidying);
  const { precision = 'f32' } = given;
  await loadWeights(base, processor.config, backend, () => precision);
  if (adapter !== undefined)
    await mergeLora(processor.config, await loadAdapter(adapter, processor.config, backend), backend);
  const instruction =
    given.prompt === undefined
      ? (settings ?? { prompt: given.fallbackPrompt, replaces: false })
      : { prompt: given.prompt, replaces: true };
  if (settings?.replaces && instruction.prompt !== settings.prompt)
    say(
      `note: ${adapter ?? base} was trained with the prompt ${JSON.stringify(settings.prompt)} alone, and with ` +
        `${JSON.stringify(instruction.prompt)} may read nothing well; leave --prompt out for its own.`,
    );
  return { processor, prompt: instruction.prompt, replaces: instruction.replaces };
}

type ImageSource = string | Uint8Array;

/** An image (a path or its bytes), or several as one question, as a prompt for generation. */
export async function imagePrompt(
  { processor, prompt }: Pick<LoadedModel, 'processor' | 'prompt'>,
  source: ImageSource | readonly ImageSource[],
  name = String(source),
): Promise<EncodedSample> {
  const images =
    typeof source === 'string' || source instanceof Uint8Array
      ? [await processor.image(source, name)]
      : await Promise.all(
          source.map((one, i) => processor.image(one, typeof one === 'string' ? one : `${name}, image ${i + 1}`)),
        );
  const ids = processor.prompt(
    images.map((image) => image.grid),
    prompt,
  );
  return { name, ids, labelStart: ids.length, images };
}
