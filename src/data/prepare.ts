// Prepares a data set: images, data.csv, train.json, val.json, and prepare.json that says how they came to be. Rows
// stream from the source through the checks into a journal; the lists are written at the end. Killed at any
// moment, the same command goes on after the last row of the journal and writes the same bytes.
import { statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, messageOf, RunError, refusalOf } from '../shared/errors.ts';
import { type Lock, takeLock } from '../shared/lock.ts';
import { bar, say } from '../shared/log.ts';
import { type LabelledImage, type SplitOptions, split, writeConversations, writeCsv } from './conversation.ts';
import type { Finished, Kept } from './inspect.ts';
import { Journal } from './journal.ts';
import { finishRows, openPool } from './pipeline.ts';
import { examine, type Identity, LOCK, type PrepareReport, WORK, writeRecord } from './record.ts';
import type { InputFile, Source, SourceOptions } from './source.ts';
import { openSource } from './sources/index.ts';
import { Statistics } from './statistics.ts';

export interface PrepareOptions extends SplitOptions {
  readonly out: string;
  /** the source's name, what stands after its colon, and its options */
  readonly source: { readonly kind: string; readonly path?: string } & SourceOptions;
  /** take only the first so many rows */
  readonly limit?: number;
  readonly normalize?: boolean;
  /** leave out labels that KaTeX cannot parse */
  readonly dropInvalid?: boolean;
  /** threads; never changes what is written */
  readonly workers?: number;
}

export interface PrepareHooks {
  /** Called as samples are finished; a progress bar on stderr without it. */
  readonly progress?: (done: number, total: number) => void;
}

/** Runs the preparation; the same command on a finished folder does nothing, another one is refused. */
export async function prepareData(options: PrepareOptions, hooks: PrepareHooks = {}): Promise<PrepareReport> {
  const started = performance.now();
  const { out, limit = Number.POSITIVE_INFINITY } = options;
  const { kind, path = '', ...own } = options.source;
  if (limit < 1) throw new InputError(`--limit ${limit}: expected at least 1 row.`);
  const source = await openSource(kind, path, own);
  const total = Math.min(source.total, limit);
  if (source.declared !== undefined && source.declared !== source.total && total === source.total)
    say(
      `warning: ${kind}:${path} says of itself that this split has ${source.declared} rows, its files hold ${total}; ` +
        'they may have changed since, or lack a part.',
    );
  // A wrong split is found before the work, not after it.
  split(new Array<number>(total).fill(0), options);
  // The threads start while the source's files are read through for their hashes.
  const pool = await openPool(total, options.workers);
  try {
    const identity = identityOf(options, source.options, await source.files());
    const before = await examine(out, identity);
    if (before.state === 'finished') {
      await Promise.all([WORK, LOCK].map((name) => rm(join(out, name), { recursive: true, force: true })));
      return { ...before.report, already: true };
    }
    const lock = await lockFolder(out);
    try {
      return await prepareLocked({ source, identity, total, pool, options, hooks, started });
    } finally {
      await lock.release();
    }
  } catch (error) {
    // A full disk, as a rule.
    if (error instanceof InputError || refusalOf(error) === undefined) throw error;
    throw new RunError(
      `--out ${out}: could not be written (${messageOf(error)}); free space and run the same command again, it goes on.`,
    );
  } finally {
    await pool.close();
  }
}

async function lockFolder(out: string): Promise<Lock> {
  await mkdir(out, { recursive: true });
  const lock = await takeLock(join(out, LOCK));
  if ('release' in lock) return lock;
  throw new InputError(
    `--out ${out}: process ${lock.pid} on ${lock.host} is preparing into it now; wait for it, or choose another --out.`,
  );
}

interface Job {
  readonly source: Source;
  readonly identity: Identity;
  readonly total: number;
  readonly pool: Awaited<ReturnType<typeof openPool>>;
  readonly options: PrepareOptions;
  readonly hooks: PrepareHooks;
  /** of the clock, in ms */
  readonly started: number;
}

async function prepareLocked(job: Job): Promise<PrepareReport> {
  const { identity, options, started } = job;
  const { out } = options;
  // Once more, for another process may have been at it until now.
  const before = await examine(out, identity);
  if (before.state === 'finished') return { ...before.report, already: true };
  const work = join(out, WORK);
  if (before.state === 'new') await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  await writeRecord(out, identity, { finished: false });
  await mkdir(join(out, 'images'), { recursive: true });
  const journal = Journal.open(join(work, 'journal.jsonl'));
  try {
    const { statistics, kept } = await finishAll(job, journal);
    if (kept.length === 0)
      throw new InputError(`no sample is left of the source: ${statistics.dropText() || 'it is empty'}.`);
    const report = { ...(await writeLists(options, kept, statistics)), seconds: secondsSince(started) };
    await writeRecord(out, identity, { finished: true, report, ...statistics.summary() });
    await rm(work, { recursive: true, force: true });
    return { out, ...report };
  } finally {
    journal.close();
  }
}

const secondsSince = (start: number): number => Math.round(performance.now() - start) / 1000;

function identityOf(options: PrepareOptions, own: Source['options'], files: readonly InputFile[]): Identity {
  const { source, limit, normalize, dropInvalid, valCount, valRatio, shuffleSeed } = options;
  const flat = {
    ...{ source: source.kind, ...own, limit },
    ...{ normalize: normalize || undefined, dropInvalid: dropInvalid || undefined, valCount, valRatio, shuffleSeed },
  };
  // As JSON gives it back, without what is undefined.
  return JSON.parse(JSON.stringify({ options: flat, files })) as Identity;
}

interface Prepared {
  readonly statistics: Statistics;
  readonly kept: Kept[];
}

/** Takes over what the journal holds, and finishes the rest of the rows into it. */
async function finishAll({ source, total, pool, options, hooks }: Job, journal: Journal): Promise<Prepared> {
  const { out, normalize = false, dropInvalid = false } = options;
  const statistics = new Statistics();
  const kept: Kept[] = [];
  const images = join(out, 'images');
  const take = (row: Finished): void => {
    if (!('dropped' in row)) kept.push(row);
    statistics.add(row);
  };
  journal.replay((row) => {
    // After a power cut, unlike a kill, the journal may know of images that the disk does not.
    const whole = 'dropped' in row || statSync(join(images, row.file), { throwIfNoEntry: false })?.size === row.bytes;
    if (whole) take(row);
    return whole;
  });
  const shown = hooks.progress ? undefined : bar('preparing', total);
  try {
    const rows = { from: journal.length, to: total };
    for await (const share of finishRows(source, rows, pool, { images, normalize, dropInvalid })) {
      share.forEach(take);
      journal.append(share);
      hooks.progress?.(journal.length, total);
      shown?.update(journal.length);
    }
  } finally {
    shown?.stop();
  }
  if (journal.length < total)
    throw new InputError(`the source ended after ${journal.length} of ${total} rows; did it change meanwhile?`);
  return { statistics, kept };
}

async function writeLists(
  options: PrepareOptions,
  kept: readonly Kept[],
  statistics: Statistics,
): Promise<Omit<PrepareReport, 'out' | 'seconds'>> {
  const { train, val } = split(kept, options);
  function* listed(rows: readonly Kept[]): Generator<LabelledImage> {
    for (const { file, text } of rows) yield { image: `images/${file}`, text };
  }
  const write = (writer: typeof writeCsv, name: string, rows: readonly Kept[]): Promise<void> =>
    writer(join(options.out, name), listed(rows), join(options.out, WORK, name));
  await write(writeCsv, 'data.csv', kept);
  await write(writeConversations, 'train.json', train);
  await write(writeConversations, 'val.json', val);
  const trained = new Set(train.map(({ text }) => text));
  return {
    ...{ count: kept.length, train: train.length, val: val.length },
    ...{ dropped: statistics.drops.counts(), flagged: statistics.flags.counts(), normalized: statistics.normalized },
    ...{ valLabelsInTrain: val.filter(({ text }) => trained.has(text)).length, already: false },
  };
}
