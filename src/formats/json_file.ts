// Optional files of a snapshot: a missing one is null, one that cannot be read or parsed is an error that names it.
import { readFile } from 'node:fs/promises';
import { InputError, messageOf } from '../shared/errors.ts';

export async function readOptional(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new InputError(`${file}: cannot be read (${messageOf(error)}); expected a text file of a model snapshot.`);
  }
}

export async function readOptionalJson(file: string): Promise<unknown> {
  const text = await readOptional(file);
  if (text === null) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new InputError(`${file}: not valid JSON (${messageOf(error)}); fetch the model's snapshot again.`);
  }
}
