// texlens runs: the recorded runs of a folder: list, show, compare, export, delete.
import { readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command, Option } from 'commander';
import { stringify } from 'csv-stringify/sync';
import { InputError } from '../../shared/errors.ts';
import { readyFile, writeAtomically } from '../../shared/files.ts';
import { formatBytes, say } from '../../shared/log.ts';
import type { ExportSettings } from '../../tracker/export/contract.ts';
import { exportRun } from '../../tracker/export/export_run.ts';
import { EXPORTER_NAMES, type ExporterName } from '../../tracker/exporters/index.ts';
import { deleteRecords, RECORDS } from '../../tracker/manage.ts';
import { listRuns, openRun, type RunEntry, type RunReader, readMeta } from '../../tracker/reader.ts';
import { type ConsoleLine, FILES } from '../../tracker/schema.ts';
import { whole } from '../numbers.ts';
import { type Cell, clean, printJson, sayTable, withJsonOption } from '../output.ts';

interface Flags extends ExportSettings {
  root: string;
  json?: boolean;
}

const RUN = 'a run: its path below the root, its name, the start of its id, or its folder';

export function command(): Command {
  const runs = new Command('runs')
    .description('The recorded runs of a folder: list, show, compare, export, delete.')
    .addHelpText(
      'after',
      `
Examples:
  texlens runs list
  texlens runs show latex-ocr
  texlens runs compare latex-ocr r16 --json
  texlens runs export latex-ocr --format csv --out latex-ocr.csv
  texlens runs export latex-ocr --format swanlab
  texlens runs delete r16`,
    );
  const verb = (name: string, does: string): Command =>
    withJsonOption(runs.command(name).description(does)).option('--root <folder>', 'where the runs are', 'runs');
  verb('list', 'every run, the newest first').action(list);
  verb('show', 'one run: settings, last values, evaluations, end of its log')
    .argument('<run>', RUN)
    .option('--log <n>', 'printed lines to show', whole, 10)
    .action(show);
  verb('compare', 'runs side by side: where their settings differ, and their last values')
    .argument('<runs...>', RUN)
    .action(compare);
  verb('export', 'a run as another format')
    .argument('<run>', RUN)
    .addOption(
      new Option('--format <name>', 'what to write').choices(['csv', 'json', ...EXPORTER_NAMES]).default('csv'),
    )
    .option('--out <file>', 'file for csv and json; by default the name of the run in this folder')
    .option('--swanlab-key <key>', 'API key for swanlab-cloud')
    .option('--swanlab-host <address>', 'a self-hosted SwanLab')
    .option('--swanlab-logdir <folder>', 'where to put the directory for swanlab sync')
    .action(exportOne);
  verb('delete', 'the records of runs; the models they made stay')
    .argument('<runs...>', RUN)
    .option('--models', 'remove the whole folder: adapters, checkpoints and all')
    .option('--yes', 'do not ask')
    .action(remove);
  return runs;
}

async function list({ root, json }: Flags): Promise<void> {
  const { runs, damaged } = await listRuns(root);
  for (const folder of damaged) say(`${folder}: its ${FILES.run} is damaged; it is left out`);
  const isFolder = (await stat(root).catch(() => null))?.isDirectory() ?? false;
  if (runs.length === 0) say(`no runs in ${root}${isFolder ? '' : ', which is no folder'}`);
  sayTable(
    runs.map(({ path, meta }) => [
      clean(path),
      meta.status,
      meta.step ?? 0,
      meta.createdAt.slice(0, 16).replace('T', ' '),
      number(meta.latest['train/loss']),
      number(meta.latest['eval/edit_distance']),
      clean(meta.tags.join(' ')),
    ]),
    { head: ['run', 'status', 'step', 'started (UTC)', 'train/loss', 'eval/edit_distance', 'tags'], right: [2, 4, 5] },
  );
  if (json)
    printJson({ root, runs: runs.map(({ path, folder, meta }) => ({ path, folder, ...brief(meta) })), damaged });
}

async function show(name: string, flags: Flags & { log: number }): Promise<void> {
  const { path, folder } = await find(name, flags.root);
  const run = await openRun(folder);
  const { meta } = run;
  const { lines } = await run.console({ tail: flags.log });
  say(`${clean(meta.name)} (${clean(path)}), ${meta.status}${meta.error === null ? '' : `: ${clean(meta.error)}`}`);
  const { commit, branch, dirty } = meta.git ?? { commit: 'none', branch: '', dirty: false };
  sayTable([
    ['id', meta.id],
    ['project', clean(meta.project)],
    ['tags', clean(meta.tags.join(' '))],
    ['notes', clean(meta.notes)],
    ['started', meta.createdAt],
    ['ended', meta.endedAt ?? ''],
    ['sessions', meta.sessions.length],
    ['git', `${commit.slice(0, 12)} ${clean(branch)}${dirty ? ', with changes' : ''}`],
    ['machine', `${clean(meta.environment.host)}, ${clean(meta.hardware.cpu)}, ${meta.hardware.cores} cores`],
    ...meta.hardware.gpus.map((gpu): Cell[] => ['gpu', `${clean(gpu.name)}, ${formatBytes(gpu.memoryBytes)}`]),
    ...flatten(meta.config).map(([key, value]): Cell[] => [clean(key), clean(value)]),
    ...Object.entries(meta.exports).map(([exporter, place]): Cell[] => [exporter, clean(place)]),
  ]);
  say();
  sayTable(lastValues(run), { head: ['metric', 'last', 'least', 'most', 'points'], right: [1, 2, 3, 4] });
  for (const [file, count] of Object.entries(run.damaged)) say(`${file}: ${count} damaged lines are left out`);
  const evaluation = run.evaluations().at(-1);
  for (const { truth, prediction } of evaluation?.rows.slice(0, 4) ?? [])
    say(`\ntruth      ${clean(truth)}\nprediction ${clean(prediction)}`);
  if (lines.length > 0) say();
  for (const { line } of lines) say(`| ${clean(line)}`);
  if (flags.json)
    printJson({
      path,
      folder,
      ...meta,
      metrics: run.keys(),
      evaluations: run.evaluations().map(({ step, metrics, rows }) => ({ step, metrics, rows: rows.length })),
      checkpoints: run.checkpoints(),
      damaged: run.damaged,
    });
}

async function compare(names: string[], { root, json }: Flags): Promise<void> {
  const entries = await Promise.all(names.map((name) => find(name, root)));
  const columns = entries.map(({ meta }) => ({
    config: new Map(flatten(meta.config)),
    latest: new Map(Object.entries(meta.latest)),
  }));
  const rows = <T>(maps: readonly ReadonlyMap<string, T>[], differing: boolean): [string, (T | undefined)[]][] =>
    [...new Set(maps.flatMap((map) => [...map.keys()]))].sort().flatMap((key): [string, (T | undefined)[]][] => {
      const values = maps.map((map) => map.get(key));
      return differing && values.every((value) => value === values[0]) ? [] : [[key, values]];
    });
  const config = rows(
    columns.map((column) => column.config),
    true,
  );
  const latest = rows(
    columns.map((column) => column.latest),
    false,
  );
  sayTable(
    [
      ['status', ...entries.map(({ meta }) => meta.status)],
      ['step', ...entries.map(({ meta }) => String(meta.step ?? 0))],
      ...config.map(([key, values]) => [clean(key), ...values.map((value) => clean(value ?? ''))]),
      ...latest.map(([key, values]) => [clean(key), ...values.map(number)]),
    ],
    { head: ['', ...entries.map(({ path }) => clean(path))] },
  );
  if (json)
    printJson({
      runs: entries.map(({ path, meta }) => ({ path, ...brief(meta) })),
      config: Object.fromEntries(config),
      latest: Object.fromEntries(latest),
    });
}

async function exportOne(name: string, flags: Flags & { format: string; out?: string }): Promise<void> {
  const { path, folder, meta } = await find(name, flags.root);
  if (flags.format !== 'csv' && flags.format !== 'json') {
    const { place, notes } = await exportRun(folder, flags.format as ExporterName, flags);
    for (const note of notes) say(note);
    if (flags.json) printJson({ path, format: flags.format, place, notes });
    return;
  }
  const run = await openRun(folder);
  const file = resolve(flags.out ?? `${path.replaceAll('/', '-').replace(/^\.$/, 'run')}.${flags.format}`);
  await readyFile(file, '--out');
  if (flags.format === 'csv') {
    const keys = run.keys();
    const rows = [...run.rows()].map(({ step, time, values }) => [
      step,
      new Date(time).toISOString(),
      ...keys.map((key) => (values[key] === undefined ? '' : String(values[key]))),
    ]);
    await writeAtomically(file, stringify(rows, { header: true, columns: ['step', 'time', ...keys] }));
  } else {
    const all = {
      run: meta,
      // NaN and infinities, which JSON lacks, become null.
      scalars: [...run.rows()],
      system: [...run.systemRows()].map(({ time, values }) => ({ time, values })),
      events: run.events(),
      console: await wholeConsole(run),
    };
    await writeAtomically(file, `${JSON.stringify(all, null, 1)}\n`);
  }
  say(`written: ${file}`);
  if (flags.json) printJson({ path, format: flags.format, file });
}

async function remove(names: string[], flags: Flags & { models?: boolean; yes?: boolean }): Promise<void> {
  const found = await Promise.all(names.map((name) => find(name, flags.root)));
  const entries = [...new Map(found.map((entry) => [entry.folder, entry])).values()];
  const running = entries.find(({ meta }) => meta.status === 'running');
  if (running)
    throw new InputError(
      `${running.path}: is still being written by process ${running.meta.process.pid}; end that process first.`,
    );
  for (const { folder } of entries)
    say(
      `${flags.models ? 'the whole folder' : 'the records in'} ${folder} (${formatBytes(await sizeOf(folder, flags.models === true))})`,
    );
  if (!flags.yes && !(await confirmed(`Delete ${entries.length === 1 ? 'it' : `these ${entries.length}`}?`)))
    throw new InputError('nothing was deleted');
  for (const { folder } of entries) {
    if (flags.models) await rm(folder, { recursive: true });
    else await deleteRecords(folder);
  }
  say(`deleted: ${entries.map(({ path }) => path).join(', ')}`);
  if (flags.json) printJson({ deleted: entries.map(({ path }) => path), models: flags.models === true });
}

async function confirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new InputError(`${question} Nobody can be asked here: give --yes.`);
  const line = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await line.question(`${question} [y/N] `);
  line.close();
  return /^y(es)?$/i.test(answer.trim());
}

async function sizeOf(folder: string, all: boolean): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true });
  const sizes = entries
    .filter(({ name }) => all || RECORDS.includes(name))
    .map(async (entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? sizeOf(path, true) : entry.isFile() ? (await stat(path)).size : 0;
    });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** The one run a word stands for. */
async function find(word: string, root: string): Promise<RunEntry> {
  const { runs } = await listRuns(root);
  const exact = runs.filter(({ path }) => path === word.replace(/\/+$/, ''));
  const named = exact.length > 0 ? exact : runs.filter(({ meta }) => meta.name === word || meta.id === word);
  const found = named.length > 0 ? named : runs.filter(({ meta }) => word.length >= 4 && meta.id.startsWith(word));
  if (found.length === 1) return found[0] as RunEntry;
  if (found.length > 1)
    throw new InputError(
      `${word}: stands for ${found.length} runs: ${found.map(({ path }) => path).join(', ')}. Give one path.`,
    );
  const folder = resolve(word);
  const meta = await readMeta(folder);
  if (meta) return { folder, path: word, meta };
  const known = runs.slice(0, 8).map(({ path }) => path);
  throw new InputError(`${word}: no such run in ${root}; it has ${known.join(', ') || 'none'}. Is --root right?`);
}

async function wholeConsole(run: RunReader): Promise<ConsoleLine[]> {
  const all: ConsoleLine[] = [];
  for (let fromByte = 0; ; ) {
    const { lines, nextByte } = await run.console({ fromByte });
    all.push(...lines);
    if (nextByte === fromByte) return all;
    fromByte = nextByte;
  }
}

function brief({
  id,
  name,
  project,
  tags,
  status,
  error,
  step,
  createdAt,
  endedAt,
  latest,
  summary,
}: RunEntry['meta']) {
  return { id, name, project, tags, status, error, step, createdAt, endedAt, latest, summary };
}

function lastValues(run: RunReader): Cell[][] {
  return run.series(undefined, { maxPoints: Number.POSITIVE_INFINITY }).series.map(({ key, values, total }) => {
    const finite = values.filter(Number.isFinite);
    const [least, most] = finite.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return [clean(key), number(values.at(-1)), number(least), number(most), total];
  });
}

/** Nested settings as key paths and texts. */
function flatten(config: Readonly<Record<string, unknown>>, prefix = ''): [key: string, value: string][] {
  return Object.entries(config).flatMap(([key, value]): [string, string][] =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? flatten(value as Record<string, unknown>, `${prefix}${key}.`)
      : [[prefix + key, typeof value === 'string' ? value : JSON.stringify(value)]],
  );
}

const number = (value: number | string | undefined): string =>
  typeof value === 'number' ? String(Number(value.toPrecision(6))) : (value ?? '');
