// Reading a run while it is being written, or long after: an open run keeps its numbers in memory and reads on from
// where it stopped. A damaged line is passed over and counted; the rest counts.
import { lstat, readdir, readFile, realpath } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { InputError, messageOf } from '../shared/errors.ts';
import { LineReader, type LineSlice, sliceLines } from './lines.ts';
import { isAlive } from './machine.ts';
import { readEdits } from './manage.ts';
import {
  type CheckpointEvent,
  ConsoleLine,
  type Evaluation,
  EventLine,
  FILES,
  fromValue,
  type ImageEvent,
  MediaName,
  RunFile,
  type Status,
  type TextEvent,
} from './schema.ts';
import { type Series, Table } from './table.ts';

/** run.json with the status as it is: a run whose process has gone has crashed. */
export interface RunMeta extends Omit<RunFile, 'status'> {
  readonly status: Status;
}

export interface RunEntry {
  /** absolute */
  readonly folder: string;
  /** relative to the root that was listed, with slashes; names the run in commands and addresses */
  readonly path: string;
  readonly meta: RunMeta;
}

export interface SeriesSlice {
  readonly series: Series[];
  /** give it as `fromByte` to get only what came later */
  readonly nextByte: number;
  /** not null when the run was resumed since `fromByte`: drop the points after this step before adding these */
  readonly rewind: number | null;
}

export interface ConsoleSlice {
  readonly lines: ConsoleLine[];
  readonly nextByte: number;
}

export interface SeriesOptions {
  /** at most about this many points a metric, thinned by min and max; default 2000 */
  readonly maxPoints?: number;
  readonly fromByte?: number;
}

/** What a `watch` found new. */
export interface Change {
  readonly meta: boolean;
  readonly scalars: boolean;
  readonly events: boolean;
  readonly system: boolean;
  readonly console: boolean;
}

/** Reads run.json; null when there is none, an InputError when it is damaged. */
export async function readMeta(folder: string): Promise<RunMeta | null> {
  const file = join(folder, FILES.run);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
  try {
    const run = RunFile.parse(JSON.parse(text));
    const gone = run.status === 'running' && !isAlive(run.process, run.heartbeat);
    return { ...run, ...(await readEdits(folder)), status: gone ? 'crashed' : run.status };
  } catch (error) {
    throw new InputError(`${file}: expected a run as texlens writes it (${messageOf(error)}).`);
  }
}

const DEPTH = 3;
const AT_ONCE = 64;

/** Every run in a folder or up to three levels below it, the newest first; `damaged` are folders whose run.json is. */
export async function listRuns(root: string): Promise<{ runs: RunEntry[]; damaged: string[] }> {
  const top = resolve(root);
  const runs: RunEntry[] = [];
  const damaged: string[] = [];
  let level = [top];
  for (let depth = 0; depth <= DEPTH && level.length > 0; depth++) {
    const below: string[] = [];
    for (let start = 0; start < level.length; start += AT_ONCE) {
      await Promise.all(
        level.slice(start, start + AT_ONCE).map(async (folder) => {
          const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
          if (entries.some((entry) => entry.name === FILES.run && entry.isFile())) {
            const meta = await readMeta(folder).catch(() => null);
            if (meta) runs.push({ folder, path: relative(top, folder).split(sep).join('/') || '.', meta });
            else damaged.push(folder);
          } else {
            for (const entry of entries)
              if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
                below.push(join(folder, entry.name));
          }
        }),
      );
    }
    level = below;
  }
  runs.sort((a, b) => b.meta.createdAt.localeCompare(a.meta.createdAt) || a.path.localeCompare(b.path));
  return { runs, damaged: damaged.sort() };
}

export class RunReader {
  private readonly scalarLines: LineReader;
  private readonly eventLines: LineReader;
  private readonly systemLines: LineReader;
  private readonly scalars = new Table();
  private readonly systemTable = new Table();
  private eventList: EventLine[] = [];
  private readonly rewinds: { byte: number; step: number }[] = [];
  private reading: Promise<Change> | null = null;
  private metaText = '';
  private consoleEnd = 0;
  /** lines that could not be read, by file */
  damaged: Readonly<Record<string, number>> = {};

  private constructor(
    readonly folder: string,
    private current: RunMeta,
  ) {
    this.scalarLines = new LineReader(join(folder, FILES.scalars));
    this.eventLines = new LineReader(join(folder, FILES.events));
    this.systemLines = new LineReader(join(folder, FILES.system));
  }

  /** Opens a run and reads what is there. */
  static async open(folder: string): Promise<RunReader> {
    const meta = await readMeta(folder);
    if (!meta) throw new InputError(`${folder}: is no run (it has no ${FILES.run}); texlens runs lists the runs.`);
    const reader = new RunReader(resolve(folder), meta);
    await reader.refresh();
    return reader;
  }

  get meta(): RunMeta {
    return this.current;
  }

  /** Reads what has been written since; calls at the same time share one reading. */
  refresh(): Promise<Change> {
    this.reading ??= this.read().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  private async read(): Promise<Change> {
    const meta = await readMeta(this.folder);
    if (meta && meta.id !== this.current.id) this.forget();
    if (meta) this.current = meta;
    const text = JSON.stringify(this.current);
    const metaChanged = text !== this.metaText;
    this.metaText = text;
    const [scalars, events, system, size] = await Promise.all([
      this.scalarLines.read((line, byte) => this.guard(FILES.scalars, () => this.takeScalars(line, byte))),
      this.eventLines.read((line) => this.guard(FILES.events, () => this.takeEvent(line))),
      this.systemLines.read((line, byte) => this.guard(FILES.system, () => this.takeSystem(line, byte))),
      lstat(join(this.folder, FILES.console)).then(
        (info) => info.size,
        () => 0,
      ),
    ]);
    const console = size !== this.consoleEnd;
    this.consoleEnd = size;
    return { meta: metaChanged, scalars, events, system, console };
  }

  /** Another run has taken the folder: all that was read is of the earlier one. */
  private forget(): void {
    for (const lines of [this.scalarLines, this.eventLines, this.systemLines]) lines.offset = 0;
    for (const table of [this.scalars, this.systemTable]) table.rewind(-1);
    this.eventList = [];
    this.rewinds.length = 0;
    this.damaged = {};
  }

  /** Calls back when something is new, looking every `intervalMs`; returns how to stop. */
  watch(changed: (change: Change) => void, intervalMs = 1000): () => void {
    let stopped = false;
    let timer: NodeJS.Timeout;
    const look = async (): Promise<void> => {
      const change = await this.refresh().catch(() => null);
      if (stopped) return;
      if (change && Object.values(change).includes(true)) changed(change);
      if (!stopped) timer = setTimeout(() => void look(), intervalMs);
    };
    timer = setTimeout(() => void look(), intervalMs);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }

  /** Names of the metrics. */
  keys(): string[] {
    return this.scalars.keys();
  }

  /** Metrics over steps; all of them when no keys are given. */
  series(keys: readonly string[] = this.keys(), { maxPoints = 2000, fromByte = 0 }: SeriesOptions = {}): SeriesSlice {
    const later = this.rewinds.filter(({ byte }) => byte >= fromByte).map(({ step }) => step);
    return {
      series: keys.map((key) => this.scalars.series(key, maxPoints, fromByte)),
      nextByte: this.scalarLines.offset,
      rewind: fromByte > 0 && later.length > 0 ? Math.min(...later) : null,
    };
  }

  /** Every step's values, in order. */
  rows(): ReturnType<Table['rows']> {
    return this.scalars.rows();
  }

  systemKeys(): string[] {
    return this.systemTable.keys();
  }

  /** The machine's figures over time; their steps are 0. */
  system(
    keys: readonly string[] = this.systemKeys(),
    { maxPoints = 2000, fromByte = 0 }: SeriesOptions = {},
  ): SeriesSlice {
    return {
      series: keys.map((key) => this.systemTable.series(key, maxPoints, fromByte)),
      nextByte: this.systemLines.offset,
      rewind: null,
    };
  }

  /** The machine's figures as they were taken. */
  systemRows(): ReturnType<Table['rows']> {
    return this.systemTable.rows();
  }

  /** Everything that happened, in order. */
  events(): readonly EventLine[] {
    return this.eventList;
  }

  evaluations(): Evaluation[] {
    return this.eventList.filter((event) => event.type === 'evaluation');
  }

  images(): ImageEvent[] {
    return this.eventList.filter((event) => event.type === 'image');
  }

  texts(): TextEvent[] {
    return this.eventList.filter((event) => event.type === 'text');
  }

  checkpoints(): CheckpointEvent[] {
    return this.eventList.filter((event) => event.type === 'checkpoint');
  }

  /** Printed lines: the last `tail` ones (default 200), or those from a byte on. */
  async console(options: { tail?: number; fromByte?: number } = {}): Promise<ConsoleSlice> {
    const tail = options.tail ?? (options.fromByte === undefined ? 200 : undefined);
    const slice: LineSlice = await sliceLines(join(this.folder, FILES.console), { fromByte: options.fromByte, tail });
    const lines = slice.lines.flatMap((line) => {
      const parsed = ConsoleLine.safeParse(jsonOrNull(line));
      return parsed.success ? [parsed.data] : [];
    });
    return { lines, nextByte: slice.nextByte };
  }

  /** The file of an image, null for a name that is none of ours or a file that is not there. */
  async media(name: string): Promise<string | null> {
    if (!MediaName.safeParse(name).success) return null;
    const file = join(this.folder, FILES.media, basename(name));
    const info = await lstat(file).catch(() => null);
    if (!info?.isFile()) return null;
    // A media folder that is a link would lead out of the run.
    const [home, place] = await Promise.all([realpath(this.folder), realpath(file)]);
    return place.startsWith(home + sep) ? file : null;
  }

  private guard(file: string, take: () => void): void {
    try {
      take();
    } catch {
      this.damaged = { ...this.damaged, [file]: (this.damaged[file] ?? 0) + 1 };
    }
  }

  // The check is by hand, since a schema over every number of a long run would take seconds.
  private takeScalars(line: string, byte: number): void {
    const { step, time, values, resume } = JSON.parse(line) as Record<string, unknown>;
    if (isStep(resume)) {
      this.scalars.rewind(resume);
      this.rewinds.push({ byte, step: resume });
      return;
    }
    if (!isStep(step)) throw new Error('no step');
    this.takeValues(this.scalars, step, time, values, byte);
  }

  private takeSystem(line: string, byte: number): void {
    const { time, values } = JSON.parse(line) as Record<string, unknown>;
    this.takeValues(this.systemTable, 0, time, values, byte);
  }

  private takeValues(table: Table, step: number, time: unknown, values: unknown, byte: number): void {
    if (typeof time !== 'number' || typeof values !== 'object' || values === null) throw new Error('no values');
    table.row(step, time, byte);
    for (const key in values) {
      const value = fromValue((values as Record<string, unknown>)[key]);
      if (value !== undefined) table.set(key, value);
    }
  }

  private takeEvent(line: string): void {
    const json: unknown = JSON.parse(line);
    const resume = (json as { resume?: unknown } | null)?.resume;
    if (isStep(resume)) this.eventList = this.eventList.filter((event) => event.step <= resume);
    else this.eventList.push(EventLine.parse(json));
  }
}

/** Opens a run's folder for reading. */
export const openRun = (folder: string): Promise<RunReader> => RunReader.open(folder);

const isStep = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;

/** null for what is no JSON. */
export function jsonOrNull(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
