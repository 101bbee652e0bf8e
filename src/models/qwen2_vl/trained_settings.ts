// What a model must know of its training to be used the same way: prompt, image sizing and whether pictures are tidied
// before, stored beside its weights.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readOptional } from '../../formats/json_file.ts';
import { InputError } from '../../shared/errors.ts';

const size = z.int().positive();
const Settings = z.object({
  prompt: z.string().min(1),
  replaces: z.boolean().default(true),
  sizing: z.union([
    z.strictObject({ minPixels: size, maxPixels: size }),
    z.strictObject({ resizedHeight: size, resizedWidth: size }),
  ]),
  tidy: z.strictObject({ em: size }).optional(),
});
export type TrainedSettings = z.output<typeof Settings>;

/** The text beside the images; `replaces` when it stands in place of what samples bring along themselves. */
export type Instruction = Pick<TrainedSettings, 'prompt' | 'replaces'>;

const FILE = 'texlens.json';

export const saveTrainedSettings = (folder: string, settings: TrainedSettings): Promise<void> =>
  writeFile(join(folder, FILE), `${JSON.stringify(settings, null, 2)}\n`);

/** The settings of a folder, or null when it holds none (an adapter or model from elsewhere). */
export async function readTrainedSettings(folder: string): Promise<TrainedSettings | null> {
  const text = await readOptional(join(folder, FILE));
  if (text === null) return null;
  try {
    return Settings.parse(JSON.parse(text));
  } catch (error) {
    throw new InputError(
      `${join(folder, FILE)}: expected prompt, sizing and tidy as training writes them (${String(error)}).`,
    );
  }
}
