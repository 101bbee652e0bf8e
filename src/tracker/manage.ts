// What is done to a run from outside: tags and notes, and its removal. The process that writes a run rewrites run.json
// as it goes, so edits lie in a file of their own, laid over run.json by the reader.
import { readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../shared/errors.ts';
import { writeAtomically } from '../shared/files.ts';
import { FILES } from './schema.ts';

export const Edits = z.object({
  tags: z.array(z.string().trim().min(1).max(64)).max(64).optional(),
  notes: z.string().max(20_000).optional(),
});
export type Edits = z.output<typeof Edits>;

/** Nothing, when nobody has edited the run or the file is damaged: the run's own words stand then. */
export async function readEdits(folder: string): Promise<Edits> {
  try {
    return Edits.parse(JSON.parse(await readFile(join(folder, FILES.edits), 'utf8')));
  } catch {
    return {};
  }
}

/** Changes what is given and leaves the rest. */
export async function editRun(folder: string, edits: Edits): Promise<void> {
  const text = JSON.stringify({ ...(await readEdits(folder)), ...Edits.parse(edits) });
  await writeAtomically(join(folder, FILES.edits), text);
}

/** Removes a run's records. Other files of the folder (adapters, checkpoints) stay, and so does then the folder. */
export async function deleteRun(folder: string, status: string): Promise<void> {
  if (status === 'running') throw new InputError(`${folder}: is still being written; end its process first.`);
  // run.json goes first: a removal cut short then leaves no run that looks whole.
  for (const name of [FILES.run, ...Object.values(FILES)]) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) throw error;
  });
}
