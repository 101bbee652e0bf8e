// prepare.json: what a folder was prepared from, how far that is, and what came of it. By it the same command goes on
// or does nothing, and another one is refused.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, messageOf } from '../shared/errors.ts';
import { writeAtomically } from '../shared/files.ts';
import { readCsv } from './conversation.ts';
import type { InputFile } from './source.ts';
import type { Tally } from './statistics.ts';

const RECORD = 'prepare.json';
/** What a preparation keeps to itself: the journal, and files before they are whole. Gone when it is finished. */
export const WORK = '.prepare';
/** Beside it, so that two at once do not write into one folder. */
export const LOCK = '.prepare-lock';

/** What decides the content of what is written. */
export interface Identity {
  readonly options: Readonly<Record<string, unknown>>;
  readonly files: readonly InputFile[];
}

export interface PrepareReport {
  readonly out: string;
  readonly count: number;
  readonly train: number;
  readonly val: number;
  /** how many rows were left out, by reason */
  readonly dropped: Readonly<Record<string, number>>;
  /** how many rows were kept in spite of a doubt, by it */
  readonly flagged: Readonly<Record<string, number>>;
  /** labels that --normalize changed */
  readonly normalized: number;
  /** validation samples whose label also stands in the training set */
  readonly valLabelsInTrain: number;
  readonly seconds: number;
  readonly already: boolean;
}

export type Examined =
  | { readonly state: 'new' | 'begun' }
  | { readonly state: 'finished'; readonly report: PrepareReport };

export function writeRecord(out: string, identity: Identity, rest: object): Promise<void> {
  const json = JSON.stringify({ ...identity, ...rest }, null, 2);
  return writeAtomically(join(out, RECORD), `${json}\n`, join(out, WORK, RECORD));
}

/** What the folder holds for this preparation; an InputError when it holds something else. */
export async function examine(out: string, identity: Identity): Promise<Examined> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new InputError(`--out ${out}: ${messageOf(error)}; expected a folder that can be written.`);
  });
  // Alone, they are all that a run killed at once has left.
  if (names.every((name) => name === WORK || name === LOCK)) return { state: 'new' };
  if (!names.includes(RECORD)) {
    throw new InputError(
      `--out ${out}: holds other files (${names
        .filter((name) => name !== LOCK)
        .slice(0, 3)
        .join(', ')}) and no ${RECORD}; choose another or an empty folder.`,
    );
  }
  let record: Partial<Identity> & { finished?: boolean; report?: PrepareReport };
  try {
    record = JSON.parse(await readFile(join(out, RECORD), 'utf8')) as typeof record;
  } catch (error) {
    throw new InputError(`${join(out, RECORD)}: broken (${messageOf(error)}); delete the folder and prepare again.`);
  }
  const differing = differences({ options: record.options ?? {}, files: record.files ?? [] }, identity);
  if (differing.length > 0) {
    throw new InputError(
      `--out ${out}: was prepared otherwise:\n${differing.join('\n')}\nChoose another --out, or delete the folder.`,
    );
  }
  if (record.finished !== true || record.report === undefined) return { state: 'begun' };
  return (await isWhole(out, names)) ? { state: 'finished', report: { ...record.report, out } } : { state: 'new' };
}

/** One line for each option and file that is no longer the same. */
function differences(then: Identity, now: Identity): string[] {
  const show = (value: unknown): string => (value === undefined ? 'not given' : JSON.stringify(value));
  const lines = [...new Set([...Object.keys(then.options), ...Object.keys(now.options)])]
    .filter((name) => JSON.stringify(then.options[name]) !== JSON.stringify(now.options[name]))
    .map((name) => `  ${name}: then ${show(then.options[name])}, now ${show(now.options[name])}`);
  // Other options name other files; that they differ needs no telling.
  if (lines.length > 0) return lines;
  for (const file of now.files) {
    const before = then.files.find(({ name }) => name === file.name);
    if (before === undefined) lines.push(`  ${file.name}: is new among the files read`);
    else if (before.bytes !== file.bytes || before.hash !== file.hash)
      lines.push(`  ${file.name}: has changed since (then ${before.bytes} bytes, now ${file.bytes})`);
  }
  for (const file of then.files)
    if (!now.files.some(({ name }) => name === file.name))
      lines.push(`  ${file.name}: is no longer among the files read`);
  return lines;
}

/** True when every file that a finished run wrote is there; a folder that lost some is prepared again. */
async function isWhole(out: string, names: readonly string[]): Promise<boolean> {
  if (!['data.csv', 'train.json', 'val.json', 'images'].every((name) => names.includes(name))) return false;
  try {
    const images = new Set((await readdir(join(out, 'images'))).map((name) => join(out, 'images', name)));
    return (await readCsv(join(out, 'data.csv'))).every((row) => images.has(row.image));
  } catch {
    return false;
  }
}

/** What the checks of a finished preparation found. */
export async function readChecks(out: string): Promise<{ drops: Record<string, Tally>; flags: Record<string, Tally> }> {
  const { drops = {}, flags = {} } = JSON.parse(await readFile(join(out, RECORD), 'utf8')) as {
    drops?: Record<string, Tally>;
    flags?: Record<string, Tally>;
  };
  return { drops, flags };
}
