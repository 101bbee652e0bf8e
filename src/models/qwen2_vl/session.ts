// A model ready to read images: snapshot and optional adapter loaded into a backend, adapter merged.
import type { Backend } from '../../backends/contract.ts';
import { loadAdapter, mergeLora } from './adapter.ts';
import type { EncodedSample } from './batch.ts';
import { loadWeights } from './load.ts';
import { type ImageSizing, Processor } from './processor.ts';
import { readTrainedSettings } from './trained_settings.ts';

export interface LoadedModel {
  readonly processor: Processor;
  readonly prompt: string;
}

/** Image sizing and prompt are the adapter's, else the model's own of its training, unless given. */
export async function loadModel(
  folder: string,
  adapter: string | undefined,
  backend: Backend,
  given: { prompt?: string; sizing?: ImageSizing; fallbackPrompt: string },
): Promise<LoadedModel> {
  const settings =
    (adapter === undefined ? null : await readTrainedSettings(adapter)) ?? (await readTrainedSettings(folder));
  const processor = await Processor.load(folder, given.sizing ?? settings?.sizing);
  await loadWeights(folder, processor.config, backend);
  if (adapter !== undefined)
    mergeLora(processor.config, await loadAdapter(adapter, processor.config, backend), backend);
  return { processor, prompt: given.prompt ?? settings?.prompt ?? given.fallbackPrompt };
}

/** One image as a prompt for generation. */
export async function imagePrompt(
  { processor, prompt }: LoadedModel,
  source: string | Uint8Array,
  name?: string,
): Promise<EncodedSample> {
  const image = await processor.image(source, name);
  const ids = processor.prompt([image.grid], prompt);
  return { name: name ?? String(source), ids, labelStart: ids.length, images: [image] };
}
