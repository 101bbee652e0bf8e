// What is done to a run from outside: tags and notes, and its removal. The process that writes a run rewrites run.json
// as it goes, so edits lie in a file of their own, laid over run.json by the reader.
import { lstat, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeAtomically } from '../shared/files.ts';
import { FILES, MediaName, STARTING } from './schema.ts';

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
  for (const name of RECORDS) await removeRecord(folder, name);
  await removeEmpty(folder);
}

/** Removes one of a run's records; of media/, whose name others use too, only what the tracker wrote. */
export async function removeRecord(folder: string, name: string): Promise<void> {
  const path = join(folder, name);
  const info = await lstat(path).catch(() => null);
  if (name !== FILES.media || !info?.isDirectory()) return rm(path, { recursive: true, force: true });
  for (const entry of await readdir(path)) if (isOwnMedia(entry)) await rm(join(path, entry));
  await removeEmpty(path);
}

/** Also the copies that a killed process did not finish. */
const isOwnMedia = (name: string): boolean => MediaName.safeParse(name.replace(/\.\d+\.tmp$/, '')).success;

async function removeEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) throw error;
  });
}
