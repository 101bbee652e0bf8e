// Prepares a data set: images, data.csv, train.json, val.json, and prepare.json that says how they came to be. Rows
// stream from the source through the checks into a journal; the lists are written from it at the end. Killed at any
// moment, the same command goes on after the last row of the journal and writes the same bytes.
import { statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, messageOf, RunError } from '../shared/errors.ts';
import { bar } from '../shared/log.ts';
import { type LabelledImage, type SplitOptions, split, writeConversations, writeCsv } from './conversation.ts';
import type { Kept } from './inspect.ts';
import { Journal } from './journal.ts';
import { finishRows } from './pipeline.ts';
import { examine, type Identity, type PrepareReport, WORK, writeRecord } from './record.ts';
import type { Source, SourceOptions } from './source.ts';
import { openSource } from './sources/index.ts';
import { digest, Statistics } from './statistics.ts';

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
  const identity = identityOf(options, source);
  const before = await examine(out, identity);
  const work = join(out, WORK);
  if (before.state === 'finished') {
    await rm(work, { recursive: true, force: true });
    return { ...before.report, already: true };
  }
  const total = Math.min(source.total, limit);
  // A wrong split is found before the work, not after it.
  split(new Array<number>(total).fill(0), options);
  if (before.state === 'new') await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  await writeRecord(out, identity, { finished: false });
  await mkdir(join(out, 'images'), { recursive: true });
  const journal = Journal.open(join(work, 'journal.jsonl'));
  try {
    const { statistics, kept } = await finishAll(source, total, journal, options, hooks);
    if (kept.length === 0)
      throw new InputError(`no sample is left of the source: ${statistics.dropText() || 'it is empty'}.`);
    const report = { ...(await writeLists(options, journal, kept, statistics)), seconds: secondsSince(started) };
    await writeRecord(out, identity, { finished: true, report, ...statistics.summary() });
    await rm(work, { recursive: true, force: true });
    return { out, ...report };
  } catch (error) {
    // An error of the system, which comes from a worker thread as its message alone: a full disk, as a rule.
    if (error instanceof InputError || !/^E[A-Z]+: /.test(messageOf(error))) throw error;
    throw new RunError(
      `--out ${out}: could not be written (${messageOf(error)}); free space and run the same command again, it goes on.`,
    );
  } finally {
    journal.close();
  }
}

const secondsSince = (start: number): number => Math.round(performance.now() - start) / 1000;

function identityOf(options: PrepareOptions, { options: own, files }: Source): Identity {
  const { source, limit, normalize, dropInvalid, valCount, valRatio, shuffleSeed } = options;
  const flat = {
    ...{ source: source.kind, ...own, limit },
    ...{ normalize: normalize || undefined, dropInvalid: dropInvalid || undefined, valCount, valRatio, shuffleSeed },
  };
  // As JSON gives it back, without what is undefined.
  return JSON.parse(JSON.stringify({ options: flat, files })) as Identity;
}

interface Finished {
  readonly statistics: Statistics;
  /** numbers of the rows that were kept */
  readonly kept: number[];
}

/** Takes over what the journal holds, and finishes the rest of the rows into it. */
async function finishAll(
  source: Source,
  total: number,
  journal: Journal,
  { out, workers, normalize = false, dropInvalid = false }: PrepareOptions,
  hooks: PrepareHooks,
): Promise<Finished> {
  const statistics = new Statistics();
  const kept: number[] = [];
  const images = join(out, 'images');
  for (let row = 0; row < journal.length; row++) {
    const finished = journal.at(row);
    if (!('dropped' in finished)) {
      // After a power cut, unlike a kill, the journal may know of images that the disk does not.
      if (statSync(join(images, finished.file), { throwIfNoEntry: false })?.size !== finished.bytes) {
        journal.cut(row);
        break;
      }
      kept.push(row);
    }
    statistics.add(finished);
  }
  const options = { images, staging: join(out, WORK), normalize, dropInvalid };
  const shown = hooks.progress ? undefined : bar('preparing', total);
  try {
    for await (const share of finishRows(source, { from: journal.length, to: total, workers }, options)) {
      for (const [i, finished] of share.entries()) {
        if (!('dropped' in finished)) kept.push(journal.length + i);
        statistics.add(finished);
      }
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
  journal: Journal,
  kept: readonly number[],
  statistics: Statistics,
): Promise<Omit<PrepareReport, 'out' | 'seconds'>> {
  const { out } = options;
  const { train, val } = split(kept, options);
  function* listed(rows: readonly number[]): Generator<LabelledImage> {
    for (const row of rows) {
      const { file, text } = journal.at(row) as Kept;
      yield { image: `images/${file}`, text };
    }
  }
  const write = (writer: typeof writeCsv, name: string, rows: readonly number[]): Promise<void> =>
    writer(join(out, name), listed(rows), join(out, WORK, name));
  await write(writeCsv, 'data.csv', kept);
  await write(writeConversations, 'train.json', train);
  await write(writeConversations, 'val.json', val);
  const seen = new Set<string>();
  for (const { text } of listed(train)) seen.add(digest(text));
  let valLabelsInTrain = 0;
  for (const { text } of listed(val)) if (seen.has(digest(text))) valLabelsInTrain++;
  return {
    ...{ count: kept.length, train: train.length, val: val.length },
    ...{ dropped: statistics.drops.counts(), flagged: statistics.flags.counts(), normalized: statistics.normalized },
    ...{ valLabelsInTrain, already: false },
  };
}
