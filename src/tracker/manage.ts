// What is done to a run from outside: tags and notes, and its removal. The process that writes a run rewrites run.json
// as it goes, so edits lie in a file of their own, laid over run.json by the reader.
import { readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeAtomically } from '../shared/files.ts';
import { FILES, STARTING } from './schema.ts';

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

/** One edit after the other, for each begins with what the one before left. */
let editing: Promise<void> = Promise.resolve();

/** Changes what is given and leaves the rest. */
export function editRun(folder: string, edits: Edits): Promise<void> {
  const edit = async (): Promise<void> => {
    const text = JSON.stringify({ ...(await readEdits(folder)), ...Edits.parse(edits) });
    await writeAtomically(join(folder, FILES.edits), text);
  };
  const edited = editing.then(edit);
  editing = edited.catch(() => {});
  return edited;
}

/** What the tracker writes into a run's folder; run.json first, so that a removal cut short leaves no run. */
export const RECORDS: readonly string[] = [...Object.values(FILES), STARTING, 'swanlog', 'tensorboard'];

/** Removes a run's records. What else lies in the folder (adapters, checkpoints) stays, and so does then the folder. */
export async function deleteRecords(folder: string): Promise<void> {
  for (const name of RECORDS) await rm(join(folder, name), { recursive: true, force: true });
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) throw error;
  });
}
