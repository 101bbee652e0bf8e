// A model ready to read images: snapshot and optional adapter loaded into a backend, adapter merged.
import { stat } from 'node:fs/promises';
import type { Backend } from '../../backends/contract.ts';
import type { Precision } from '../../graph/types.ts';
import { InputError } from '../../shared/errors.ts';
import { bundledModel } from '../bundled.ts';
import { loadAdapter, mergeLora, readAdapterConfig } from './adapter.ts';
import type { EncodedSample } from './batch.ts';
import { loadWeights } from './load.ts';
import { type ImageSizing, Processor } from './processor.ts';
import { type Instruction, readTrainedSettings } from './trained_settings.ts';

/** What a --model flag says of its default, which is `loadModel`'s. */
export const MODEL_HELP =
  'the base model: a folder, or modelscope:… or hf:…; by default the one of the adapter, else the one that comes with texlens';

export interface LoadedModel extends Instruction {
  readonly processor: Processor;
}

/** The model to use where none was named: the one that the adapter was trained on, else the bundled one. */
export async function defaultModel(adapter: string | undefined): Promise<string> {
  if (adapter === undefined) return bundledModel();
  const { base } = await readAdapterConfig(adapter);
  const found = base !== null && (await stat(base).catch(() => null))?.isDirectory();
  if (!found)
    throw new InputError(
      `${adapter}: was trained on ${base ?? 'a base it does not name'}, which is no folder here; give its base with --model.`,
    );
  return base;
}

/** Image sizing and prompt are the adapter's, else the model's own of its training, unless given. */
export async function loadModel(
  folder: string | undefined,
  adapter: string | undefined,
  backend: Backend,
  given: { prompt?: string; sizing?: ImageSizing; fallbackPrompt: string; precision?: Precision },
): Promise<LoadedModel> {
  const base = folder ?? (await defaultModel(adapter));
  const settings =
    (adapter === undefined ? null : await readTrainedSettings(adapter)) ?? (await readTrainedSettings(base));
  const processor = await Processor.load(base, given.sizing ?? settings?.sizing);
  const { precision = 'f32' } = given;
  await loadWeights(base, processor.config, backend, () => precision);
  if (adapter !== undefined)
    await mergeLora(processor.config, await loadAdapter(adapter, processor.config, backend), backend);
  const instruction =
    given.prompt === undefined
      ? (settings ?? { prompt: given.fallbackPrompt, replaces: false })
      : { prompt: given.prompt, replaces: true };
  return { processor, prompt: instruction.prompt, replaces: instruction.replaces };
}

/** An image, or several as one question, as a prompt for generation. */
export async function imagePrompt(
  { processor, prompt }: Pick<LoadedModel, 'processor' | 'prompt'>,
  source: string | Uint8Array | readonly string[],
  name = String(source),
): Promise<EncodedSample> {
  const images =
    typeof source === 'string' || source instanceof Uint8Array
      ? [await processor.image(source, name)]
      : await Promise.all(source.map((path) => processor.image(path)));
  const ids = processor.prompt(
    images.map((image) => image.grid),
    prompt,
  );
  return { name, ids, labelStart: ids.length, images };
}
