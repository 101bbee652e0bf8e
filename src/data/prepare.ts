// Prepares a data set: images, data.csv, train.json, val.json, and prepare.json that says how they came to be.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import Tinypool from 'tinypool';
import { InputError, messageOf } from '../shared/errors.ts';
import { writeAtomically } from '../shared/files.ts';
import { bar } from '../shared/log.ts';
import {
  type Columns,
  type LabelledImage,
  readCsv,
  type SplitOptions,
  split,
  writeConversations,
  writeCsv,
} from './conversation.ts';
import { folderLabels, labelsFile, takeImage } from './sources/folder.ts';
import type { SyntheticOptions } from './sources/synthetic.ts';
import { Statistics } from './statistics.ts';
import { imageName, type Rendered, type Share } from './synthetic/worker.ts';

export type PrepareSource =
  | ({ readonly kind: 'synthetic'; readonly count: number } & SyntheticOptions)
  | {
      readonly kind: 'folder';
      readonly path: string;
      readonly columns: Columns;
      /** use only the first so many rows */
      readonly count?: number;
    };

export interface PrepareOptions extends SplitOptions {
  readonly out: string;
  readonly source: PrepareSource;
  /** threads; never changes what is written */
  readonly workers?: number;
}

export interface PrepareHooks {
  /** Called as samples are finished; a progress bar on stderr without it. */
  readonly progress?: (done: number, total: number) => void;
}

export interface PrepareReport {
  readonly out: string;
  readonly count: number;
  readonly train: number;
  readonly val: number;
  /** how many rows were left out, by reason */
  readonly dropped: Readonly<Record<string, number>>;
  /** validation samples whose label also stands in the training set */
  readonly valLabelsInTrain: number;
  readonly seconds: number;
  readonly already: boolean;
}

interface Prepared {
  readonly rows: readonly LabelledImage[];
  readonly statistics: Statistics;
}

const SHARE = 64;
const RECORD = 'prepare.json';

/** Runs the preparation; the same command on a finished folder does nothing, another one is refused. */
export async function prepareData(options: PrepareOptions, hooks: PrepareHooks = {}): Promise<PrepareReport> {
  const started = performance.now();
  const { out, source } = options;
  if (source.kind === 'synthetic' && source.count < 1) {
    throw new InputError(`--count ${source.count}: expected at least 1 sample.`);
  }
  const identity = await identityOf(options);
  const before = await examine(out, identity);
  if (before !== undefined) return { ...before, already: true };

  // A wrong split is found before the work, not after it.
  if (source.kind === 'synthetic') split(new Array<number>(source.count).fill(0), options);
  await mkdir(join(out, 'images'), { recursive: true });
  const record = (report: object): Promise<void> =>
    writeAtomically(join(out, RECORD), `${JSON.stringify({ options: identity, ...report }, null, 2)}\n`);
  await record({ finished: false });
  const { rows, statistics } =
    source.kind === 'synthetic'
      ? await synthesise(out, source, options.workers, hooks)
      : await copyFolder(out, source, hooks);
  if (rows.length === 0) {
    throw new InputError(`no sample is left of the source: ${statistics.dropText() || 'it is empty'}.`);
  }
  const { train, val } = split(rows, options);
  await writeCsv(join(out, 'data.csv'), rows);
  await writeConversations(join(out, 'train.json'), train);
  await writeConversations(join(out, 'val.json'), val);
  const seen = new Set(train.map((row) => row.text));
  const report: PrepareReport = {
    out,
    count: rows.length,
    train: train.length,
    val: val.length,
    dropped: statistics.dropped(),
    valLabelsInTrain: val.filter((row) => seen.has(row.text)).length,
    seconds: Math.round(performance.now() - started) / 1000,
    already: false,
  };
  await record({ finished: true, report, ...statistics.summary() });
  return report;
}

type Identity = Readonly<Record<string, unknown>>;

/** What decides the files' content, flat, as it goes into prepare.json. */
async function identityOf({ source, valCount, valRatio, shuffleSeed }: PrepareOptions): Promise<Identity> {
  const common = { valCount, valRatio, shuffleSeed };
  let options: Identity;
  if (source.kind === 'synthetic') {
    const { kind, count, seed, level, style } = source;
    options = { source: kind, count, seed, level, style, ...common };
  } else {
    const { kind, path, columns, count } = source;
    const labels = createHash('sha256')
      .update(await readFile(await labelsFile(path)))
      .digest('hex');
    options = { source: kind, path, imageColumn: columns.image, textColumn: columns.text, count, labels, ...common };
  }
  return JSON.parse(JSON.stringify(options)) as Identity;
}

/** The report of a finished, whole folder; undefined when there is work to do; an InputError when it is another's. */
async function examine(out: string, identity: Identity): Promise<PrepareReport | undefined> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new InputError(`--out ${out}: ${messageOf(error)}; expected a folder that can be written.`);
  });
  if (names.length === 0) return undefined;
  if (!names.includes(RECORD)) {
    throw new InputError(
      `--out ${out}: holds other files (${names.slice(0, 3).join(', ')}) and no ${RECORD}; choose another or an empty folder.`,
    );
  }
  let record: { options?: Identity; finished?: boolean; report?: PrepareReport };
  try {
    record = JSON.parse(await readFile(join(out, RECORD), 'utf8')) as typeof record;
  } catch (error) {
    throw new InputError(`${join(out, RECORD)}: broken (${messageOf(error)}); delete the folder and prepare again.`);
  }
  const then = record.options ?? {};
  const differing = [...new Set([...Object.keys(then), ...Object.keys(identity)])].filter(
    (name) => JSON.stringify(then[name]) !== JSON.stringify(identity[name]),
  );
  if (differing.length > 0) {
    const show = (value: unknown): string => (value === undefined ? 'not given' : JSON.stringify(value));
    const lines = differing.map((name) => `  ${name}: then ${show(then[name])}, now ${show(identity[name])}`);
    throw new InputError(
      `--out ${out}: was prepared with other options:\n${lines.join('\n')}\nChoose another --out, or delete the folder.`,
    );
  }
  const whole = record.finished === true && record.report !== undefined && (await isWhole(out, names));
  return whole ? { ...record.report!, out } : undefined;
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

function progressOf(title: string, total: number, hooks: PrepareHooks): { update(done: number): void; stop(): void } {
  const { progress } = hooks;
  return progress ? { update: (done) => progress(done, total), stop: () => {} } : bar(title, total);
}

async function synthesise(
  out: string,
  { seed, level, style, count }: SyntheticOptions & { readonly count: number },
  workers = availableParallelism(),
  hooks: PrepareHooks = {},
): Promise<Prepared> {
  const shares: Share[] = [];
  for (let start = 0; start < count; start += SHARE) {
    const end = Math.min(count, start + SHARE);
    shares.push({ options: { seed, level, style }, folder: join(out, 'images'), start, end });
  }
  // Worker threads run the built JavaScript; from TypeScript sources the work is done right here.
  const threads = import.meta.url.endsWith('.js') ? Math.min(workers, shares.length) : 1;
  const pool =
    threads > 1
      ? new Tinypool({
          filename: new URL('./synthetic/worker.js', import.meta.url).href,
          minThreads: threads,
          maxThreads: threads,
        })
      : undefined;
  const progress = progressOf('rendering', count, hooks);
  const parts: Rendered[][] = [];
  let done = 0;
  const finish = (k: number, part: Rendered[]): void => {
    parts[k] = part;
    done += part.length;
    progress.update(done);
  };
  try {
    if (pool) {
      await Promise.all(shares.map(async (share, k) => finish(k, (await pool.run(share)) as Rendered[])));
    } else {
      const { default: render } = await import('./synthetic/worker.ts');
      for (const [k, share] of shares.entries()) finish(k, await render(share));
    }
  } finally {
    progress.stop();
    await pool?.destroy();
  }
  const statistics = new Statistics();
  const rows = parts.flat().map(({ latex, width, height }, i) => {
    statistics.add(latex, width, height);
    return { image: `images/${imageName(i)}`, text: latex };
  });
  return { rows, statistics };
}

async function copyFolder(
  out: string,
  { path, columns, count }: Extract<PrepareSource, { kind: 'folder' }>,
  hooks: PrepareHooks,
): Promise<Prepared> {
  const labels = (await folderLabels(path, columns)).slice(0, count);
  const rows: LabelledImage[] = [];
  const statistics = new Statistics();
  const progress = progressOf('copying', labels.length, hooks);
  try {
    for (const [i, row] of labels.entries()) {
      const taken = await takeImage(row, join(out, 'images'), String(i).padStart(6, '0'));
      if ('dropped' in taken) statistics.drop(taken.dropped, `line ${row.line}: ${taken.detail}`);
      else {
        statistics.add(row.text, taken.width, taken.height);
        rows.push({ image: `images/${taken.file}`, text: row.text });
      }
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
  }
  return { rows, statistics };
}
