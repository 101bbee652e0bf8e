// Checkpoints: a folder each, complete or absent, since it is renamed into place when all of it is on disk; and what of
// an earlier run an output folder may hold.
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { Backend } from '../backends/contract.ts';
import { SafetensorsFile, writeSafetensors } from '../formats/safetensors.ts';
import { InputError, messageOf, RunError } from '../shared/errors.ts';
import type { Place } from './samples.ts';
import { momentState } from './step.ts';

export interface TrainerState {
  readonly step: number;
  /** where the next step stands in the samples */
  readonly place: Place;
  /** micro-batches so far: the counter of dropout */
  readonly tick: number;
  /** what must be equal to resume: configuration, data and base model */
  readonly identity: string;
  /** the best evaluation's step, and its metric's value */
  readonly best: { readonly step: number; readonly value: number } | null;
  readonly evaluationsWithoutGain: number;
}

/** Weights that a run writes into its output folder, each time whole: what lay there before is gone. */
export const WRITTEN = { checkpoints: 'checkpoints', best: 'best', adapter: 'adapter', model: 'model' } as const;

const STATE = 'trainer_state.json';
const TENSORS = 'training_state.safetensors';
const folderOf = (root: string, step: number): string => join(root, `checkpoint-${step}`);

/** Runs a write of a training run; when it fails, the error says how to go on. */
export async function resumable<T>(what: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw new RunError(
      `${what}: could not be written. ${messageOf(error).replace(/\.?$/, '.')} Earlier checkpoints are whole: ` +
        'free space and run again with --resume.',
    );
  }
}

/** Replaces a folder by what `write` puts into a temporary one beside it, whole or not at all. */
export async function writeFolder(folder: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${folder}.${process.pid}.tmp`;
  await resumable(folder, async () => {
    try {
      await mkdir(temporary, { recursive: true });
      await write(temporary);
      await rm(folder, { recursive: true, force: true });
      await rename(temporary, folder);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  });
}

/** Writes trained weights, moments and state under `root`/checkpoint-N, then removes all but the newest `keep` of them. */
export async function saveCheckpoint(
  root: string,
  state: TrainerState,
  trained: readonly string[],
  backend: Backend,
  keep: number,
  writeModel: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = folderOf(root, state.step);
  await writeFolder(folder, async (temporary) => {
    const names = trained.flatMap((name) => [name, momentState(name, 'm'), momentState(name, 'v')]);
    const tensors = new Map(
      names.map((name) => {
        const { type, data } = backend.getState(name);
        return [name, { shape: type.shape, data: data as Float32Array }];
      }),
    );
    await writeSafetensors(join(temporary, TENSORS), tensors, { dtype: 'F32' });
    await writeModel(temporary);
    await writeFile(join(temporary, STATE), `${JSON.stringify(state, null, 2)}\n`);
  });
  // Later ones are of an earlier run, and must not push out this one's.
  const all = (await checkpoints(root)).filter((step) => step <= state.step);
  for (const step of all.slice(0, Math.max(0, all.length - keep)))
    await rm(folderOf(root, step), { recursive: true, force: true });
  return folder;
}

/** Steps of the complete checkpoints, rising; leftovers of a killed write are removed. */
async function checkpoints(root: string): Promise<number[]> {
  const entries = await readdir(root).catch(() => []);
  for (const entry of entries)
    if (entry.endsWith('.tmp')) await rm(join(root, entry), { recursive: true, force: true });
  return entries
    .flatMap((entry) => /^checkpoint-(\d+)$/.exec(entry)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Refuses a new run in the output folder of one that has checkpoints, which it would overwrite. */
export async function refuseCheckpoints(output: string): Promise<void> {
  const steps = await checkpoints(join(output, WRITTEN.checkpoints));
  if (steps.length === 0) return;
  throw new InputError(
    `${output}: holds checkpoints of an earlier run (${steps.length === 1 ? 'step' : 'steps'} ${steps.join(', ')}), which a ` +
      'new run would overwrite. Go on from the newest with --resume, train into another folder with --output, or delete ' +
      'them and start anew with --overwrite.',
  );
}

/** Refuses a base model that the run itself would replace while it reads of it. */
export function refuseOwnBase(model: string, output: string): void {
  for (const name of Object.values(WRITTEN)) {
    const way = relative(resolve(output, name), resolve(model));
    if (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
      throw new InputError(
        `${model}: lies where this run writes, ${join(output, name)}, and is its base. Train into another folder with --output.`,
      );
  }
}

/** Takes away what an earlier run has left and would be taken for this one's; `texlens train` asks for --overwrite first. */
export async function removeEarlier(output: string): Promise<void> {
  const root = join(output, WRITTEN.checkpoints);
  // Without checkpoints no run has been here, and the rest is somebody else's.
  if (!(await stat(root).catch(() => null))) return;
  for (const name of [WRITTEN.checkpoints, WRITTEN.best])
    await rm(join(output, name), { recursive: true, force: true });
}

/** Restores the newest checkpoint into the backend; null when there is none. */
export async function loadCheckpoint(root: string, identity: string, backend: Backend): Promise<TrainerState | null> {
  const step = (await checkpoints(root)).at(-1);
  if (step === undefined) return null;
  const folder = folderOf(root, step);
  const state = await readFile(join(folder, STATE), 'utf8')
    .then((text) => JSON.parse(text) as TrainerState)
    .catch((error: unknown) => {
      throw new InputError(
        `${folder}: ${STATE} cannot be read (${messageOf(error)}); delete this checkpoint to resume from the one before.`,
      );
    });
  if (state.identity !== identity)
    throw new InputError(
      `${folder}: was made with another configuration, other data or another base model, so it cannot be resumed:\n  then ${state.identity}\n  now  ${identity}\nRestore them, or train into another output folder.`,
    );
  const file = await SafetensorsFile.open(join(folder, TENSORS));
  try {
    for (const [name, { shape }] of file.header) backend.setState(name, { dtype: 'f32', shape }, await file.read(name));
  } finally {
    await file.close();
  }
  return state;
}
