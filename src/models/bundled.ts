// The base model that comes with the package, in models/base at its root, wherever the command is run.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../shared/errors.ts';

// The same from src/models and from dist/models.
const FOLDER = fileURLToPath(new URL('../../models/base', import.meta.url));

/** Its folder; an InputError when this package comes without it. */
export function bundledModel(): string {
  if (!existsSync(join(FOLDER, 'config.json')))
    throw new InputError(
      `${FOLDER}: this package comes without a base model; give one with --model, such as a Qwen2-VL snapshot's folder.`,
    );
  return FOLDER;
}

/** What recipes, and the adapters of their runs, call it; relative to the checkout. */
const NAME = 'models/base';

/** A model's folder; the name that recipes have for the bundled one is it from every folder where nothing else is called so. */
export const orBundled = (folder: string): string => (folder === NAME && !existsSync(folder) ? bundledModel() : folder);
