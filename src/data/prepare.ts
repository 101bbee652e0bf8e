// Prepares a data set: images, data.csv, train.json, val.json, and prepare.json that says how they came to be.
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import Tinypool from 'tinypool';
import { InputError } from '../shared/errors.ts';
import { bar } from '../shared/log.ts';
import {
  type Columns,
  type LabelledImage,
  type SplitOptions,
  split,
  writeAtomically,
  writeConversations,
  writeCsv,
} from './conversation.ts';
import { folderLabels, takeImage } from './sources/folder.ts';
import type { SyntheticOptions } from './sources/synthetic.ts';
import render, { imageName, type Share } from './synthetic/worker.ts';

export interface PrepareOptions extends SplitOptions {
  readonly out: string;
  readonly source:
    | ({ readonly kind: 'synthetic'; readonly count: number } & SyntheticOptions)
    | ({ readonly kind: 'folder'; readonly path: string } & { columns: Columns });
  readonly workers?: number;
}

export interface PrepareReport {
  readonly out: string;
  readonly count: number;
  readonly train: number;
  readonly val: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly already: boolean;
}

const SHARE = 64;

/** Runs the preparation; the same command on a finished folder does nothing, another one is refused. */
export async function prepareData(options: PrepareOptions): Promise<PrepareReport> {
  const started = performance.now();
  const { out, source } = options;
  const { workers: _workers, out: _out, ...identity } = options;
  const record = join(out, 'prepare.json');
  const before = (await readFile(record, 'utf8').then(JSON.parse, () => null)) as {
    options: unknown;
    report: PrepareReport;
  } | null;
  if (before) {
    if (JSON.stringify(before.options) !== JSON.stringify(identity))
      throw new InputError(
        `${out}: was prepared with other options:\n  then ${JSON.stringify(before.options)}\n  now  ${JSON.stringify(identity)}\nChoose another --out, or delete the folder.`,
      );
    return { ...before.report, already: true };
  }
  await mkdir(join(out, 'images'), { recursive: true });
  const dropped: Record<string, number> = {};
  const rows =
    source.kind === 'synthetic'
      ? await synthesise(out, source, options.workers)
      : await copyFolder(out, source, dropped);
  if (rows.length === 0)
    throw new InputError(
      `no sample is left of the source: ${
        Object.entries(dropped)
          .map(([why, n]) => `${n} × ${why}`)
          .join(', ') || 'it is empty'
      }.`,
    );
  const { train, val } = split(rows, options);
  await writeCsv(join(out, 'data.csv'), rows);
  await writeConversations(join(out, 'train.json'), train);
  await writeConversations(join(out, 'val.json'), val);
  const seconds = (performance.now() - started) / 1000;
  const report = { out, count: rows.length, train: train.length, val: val.length, dropped, seconds, already: false };
  await writeAtomically(record, `${JSON.stringify({ options: identity, report }, null, 2)}\n`);
  return report;
}

async function synthesise(
  out: string,
  source: SyntheticOptions & { count: number },
  workers = availableParallelism(),
): Promise<LabelledImage[]> {
  const { seed, level, style, count } = source;
  const shares: Share[] = [];
  for (let start = 0; start < count; start += SHARE)
    shares.push({
      options: { seed, level, style },
      folder: join(out, 'images'),
      start,
      end: Math.min(count, start + SHARE),
    });
  const progress = bar('rendering', count);
  let done = 0;
  // Worker threads run the built JavaScript; from TypeScript sources the work is done right here.
  const threaded = workers > 1 && import.meta.url.endsWith('.js');
  const pool = threaded
    ? new Tinypool({
        filename: new URL('./synthetic/worker.js', import.meta.url).href,
        minThreads: workers,
        maxThreads: workers,
      })
    : null;
  const run = async (share: Share) => {
    const labels = pool ? ((await pool.run(share)) as string[]) : await render(share);
    done += labels.length;
    progress.update(done);
    return labels;
  };
  try {
    const labels: string[] = [];
    if (pool) for (const part of await Promise.all(shares.map(run))) labels.push(...part);
    else for (const share of shares) labels.push(...(await run(share)));
    return labels.map((text, i) => ({ image: `images/${imageName(i)}`, text }));
  } finally {
    progress.stop();
    await pool?.destroy();
  }
}

async function copyFolder(
  out: string,
  source: { path: string; columns: Columns },
  dropped: Record<string, number>,
): Promise<LabelledImage[]> {
  const labels = await folderLabels(source.path, source.columns);
  const rows: LabelledImage[] = [];
  const progress = bar('copying', labels.length);
  for (const [i, row] of labels.entries()) {
    const taken = await takeImage(row, join(out, 'images'), String(i).padStart(6, '0'));
    if ('dropped' in taken) dropped[taken.dropped] = (dropped[taken.dropped] ?? 0) + 1;
    else rows.push({ image: `images/${taken.file}`, text: row.text });
    progress.update(i + 1);
  }
  progress.stop();
  return rows;
}
