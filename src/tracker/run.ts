// A run being written. Calls only put what they are given into memory; a timer writes it, so that a step never waits for
// a disk or a network, and a failure of either is told once and never ends the run.
import { renameSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InputError, messageOf, messageWithPath } from '../shared/errors.ts';
import { writeAtomically } from '../shared/files.ts';
import { type Lock, takeLock } from '../shared/lock.ts';
import { say } from '../shared/log.ts';
import { Appender } from './appender.ts';
import { captureConsole } from './console.ts';
import type { ExportSettings, Item } from './export/contract.ts';
import { Outlet } from './export/outlet.ts';
import { replay } from './export/replay.ts';
import type { ExporterName } from './exporters/index.ts';
import { removeRecord } from './manage.ts';
import { Media } from './media.ts';
import { type About, freshMeta } from './meta.ts';
import { Monitor } from './monitor.ts';
import { type RunMeta, readMeta } from './reader.ts';
import { type EventLine, FILES, type RunFile, STARTING, type Values, type WrittenStatus } from './schema.ts';
import { asValues, numbersOf, setValue } from './values.ts';

export interface RunOptions extends About {
  /** the run's own folder; it may hold other files too */
  readonly folder: string;
  readonly exporters?: readonly ExporterName[];
  readonly exportSettings?: ExportSettings;
  /** record what the process prints; default true */
  readonly captureConsole?: boolean;
  /** how often the machine is looked at; 0 for never; default 10 */
  readonly systemEverySeconds?: number;
}

export interface EvaluationInput {
  readonly step: number;
  /** recorded as scalars too, as eval/NAME */
  readonly metrics: Readonly<Record<string, number>>;
  readonly rows: readonly {
    /** path of the image; of several, the first */
    readonly image: string;
    readonly truth: string;
    readonly prediction: string;
    readonly metrics: Readonly<Record<string, number>>;
  }[];
}

export interface Ending {
  readonly status?: Exclude<WrittenStatus, 'running'>;
  readonly error?: unknown;
  /** what the run came to, such as its best score */
  readonly summary?: Readonly<Record<string, unknown>>;
}

const FLUSH_MS = 250;
const META_MS = 1000;
const HEARTBEAT_MS = 10_000;
const LINES = ['scalars', 'events', 'system', 'console'] as const;
type Lines = (typeof LINES)[number];

export class Run {
  private readonly told = new Set<string>();
  private readonly media: Media;
  private readonly monitor: Monitor;
  private readonly files: Partial<Record<Lines, Appender>> = {};
  private outlets: Outlet[] = [];
  /** copies of images under way */
  private copying = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | null = null;
  private stopCapture = (): void => {};
  private metaDirty = true;
  /** by the clock that is never set */
  private metaWritten = 0;
  private metaWriting: Promise<void> = Promise.resolve();
  /** writings that have not ended */
  private metaWaiting = 0;
  private ended = false;
  private readonly onExit = (code: number): void => this.exit(code);

  private constructor(
    readonly folder: string,
    private readonly meta: RunFile,
  ) {
    this.media = new Media(folder);
    this.monitor = new Monitor((values) => this.system(values));
  }

  /** Starts recording. Throws only when another living process is writing this run. */
  static async create(options: RunOptions): Promise<Run> {
    const folder = resolve(options.folder);
    const lock = await claim(folder);
    try {
      const before = await refuseRunning(folder);
      const run = new Run(folder, await freshMeta(folder, options, options.resume === undefined ? null : before));
      await run.open(options, before);
      return run;
    } finally {
      await lock?.release();
    }
  }

  /** What run.json holds. */
  get record(): Readonly<RunFile> {
    return this.meta;
  }

  private async open(options: RunOptions, before: RunMeta | null): Promise<void> {
    const { resume } = options;
    try {
      await mkdir(this.folder, { recursive: true });
      if (resume === undefined) {
        if (before) say(`${this.folder}: the records of the earlier run are replaced`);
        for (const name of Object.values(FILES)) await removeRecord(this.folder, name);
      }
      for (const entry of await readdir(this.folder))
        if (entry.startsWith(`${FILES.run}.`) && entry.endsWith('.tmp')) await rm(join(this.folder, entry));
      for (const name of LINES)
        this.files[name] = await Appender.open(join(this.folder, FILES[name]), 'lines', (message) =>
          this.tell(message),
        );
    } catch (error) {
      this.tell(`${this.folder}: the run cannot be recorded (${messageWithPath(error)}); it goes on all the same`);
    }
    if (resume !== undefined)
      for (const name of ['scalars', 'events'] as const) this.append(name, { resume, time: Date.now() });
    await this.flushFiles();
    await this.writeMeta();

    const context = {
      folder: this.folder,
      run: this.meta,
      history: () => replay(this.folder),
      settings: options.exportSettings ?? {},
      tell: (message: string) => this.tell(message),
    };
    for (const name of new Set(options.exporters)) {
      const outlet = await Outlet.open(name, context);
      if (outlet) this.outlets.push(outlet);
    }
    this.metaDirty = true;
    if (options.captureConsole !== false) this.stopCapture = captureConsole((level, line) => this.print(level, line));
    const seconds = options.systemEverySeconds ?? 10;
    if (seconds > 0) this.monitor.start(seconds * 1000);
    this.timer = setInterval(() => void this.tick(), FLUSH_MS);
    this.timer.unref();
    process.once('exit', this.onExit);
  }

  /** Records metrics of a step. Values that are no numbers are left out, and told once. */
  log(values: Readonly<Record<string, number>>, step: number): void {
    if (!Number.isSafeInteger(step) || step < 0) {
      this.tell(`log: expected a step that is a whole number, 0 or more, got ${step}; its values are lost`);
      return;
    }
    const time = Date.now();
    this.append('scalars', { step, time, values: this.checked(values) });
    this.meta.step = Math.max(step, this.meta.step ?? 0);
    this.metaDirty = true;
    if (this.outlets.length > 0) this.hand({ kind: 'scalars', step, time, values: numbersOf(values) });
  }

  /** Records a text, such as a sample of the data. */
  text(key: string, text: string, step: number): void {
    this.event({ type: 'text', step, time: Date.now(), key, text });
  }

  /** Copies image files into the run and records them under a key. Resolves when they are copied. */
  image(
    key: string,
    images: readonly { readonly path: string; readonly caption?: string }[],
    step: number,
  ): Promise<void> {
    const time = Date.now();
    return this.copy(async () => {
      const copied = [];
      for (const { path, caption = '' } of images) {
        const file = await this.mediaName(path);
        if (file !== null) copied.push({ file, caption });
      }
      if (copied.length > 0) this.event({ type: 'image', step, time, key, images: copied });
    });
  }

  /** Records an evaluation: its scores as scalars eval/NAME, and its table. Resolves when the images are copied. */
  evaluation({ step, metrics, rows }: EvaluationInput): Promise<void> {
    const time = Date.now();
    this.log(Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval/${name}`, value])), step);
    return this.copy(async () => {
      const table = [];
      for (const { image, truth, prediction, metrics: scores } of rows)
        table.push({
          image: await this.mediaName(image),
          source: image,
          truth,
          prediction,
          metrics: asValues(scores),
        });
      this.event({ type: 'evaluation', step, time, metrics: asValues(metrics), rows: table });
    });
  }

  checkpoint(checkpoint: { readonly step: number; readonly path: string; readonly best?: boolean }): void {
    const { step, path, best = false } = checkpoint;
    this.event({ type: 'checkpoint', step, time: Date.now(), path, best });
  }

  /** Resolves when everything recorded so far is in the store. */
  async flush(): Promise<void> {
    await Promise.all(this.copying);
    await this.flushFiles();
    await this.writeMeta();
  }

  /** Ends the run: finished, or failed when there is an error. Tells what exporters have to say. */
  async finish({ status, error, summary = {} }: Ending = {}): Promise<void> {
    if (this.ended) return;
    this.stopCapture();
    this.monitor.stop();
    if (this.timer) clearInterval(this.timer);
    await Promise.all(this.copying);
    this.ended = true;
    process.off('exit', this.onExit);
    this.meta.status = status ?? (error === undefined ? 'finished' : 'failed');
    this.meta.error = error === undefined ? null : messageWithPath(error);
    this.meta.summary = { ...summary };
    this.meta.endedAt = new Date().toISOString();
    await this.flushFiles();
    await this.writeMeta();
    for (const outlet of this.outlets) for (const line of await outlet.finish(this.meta)) say(line);
    if (this.outlets.length > 0) await this.writeMeta();
    for (const file of Object.values(this.files)) await file.close().catch(() => {});
  }

  /** The process ends without `finish`: what waits is written, and the state follows the exit code. */
  private exit(code: number): void {
    this.stopCapture();
    for (const file of Object.values(this.files)) file.closeSync();
    this.meta.status = code === 0 ? 'finished' : code === 130 ? 'aborted' : 'failed';
    this.meta.error = code === 0 || code === 130 ? null : `the process ended with exit code ${code}`;
    this.meta.endedAt = new Date().toISOString();
    const file = join(this.folder, FILES.run);
    try {
      // Another name than that of a write under way, which may yet go on beside this one.
      writeFileSync(`${file}.exit.tmp`, this.metaText());
      renameSync(`${file}.exit.tmp`, file);
    } catch {
      // The reader finds the process gone: the run shows as crashed.
    }
  }

  private system(values: Record<string, number>): void {
    if (this.ended) return;
    const time = Date.now();
    this.append('system', { time, values });
    this.hand({ kind: 'system', time, values });
  }

  private print(level: 'out' | 'err', line: string): void {
    const time = Date.now();
    this.append('console', { time, level, line });
    this.hand({ kind: 'console', time, level, line });
  }

  private event(event: EventLine): void {
    this.append('events', event);
    this.hand({ kind: 'event', event });
  }

  private append(file: Lines, line: unknown): void {
    if (this.ended) this.tell('something was recorded after the run had ended; it is lost');
    else this.files[file]?.push(`${JSON.stringify(line)}\n`);
  }

  private hand(item: Item): void {
    for (const outlet of this.outlets) outlet.push(item);
  }

  /** Values as they stand in a line; the latest of each goes into run.json. */
  private checked(values: Readonly<Record<string, number>>): Values {
    const out: Values = {};
    for (const key in values) {
      const value: unknown = values[key];
      if (typeof value !== 'number') {
        this.tell(`log: '${key}' expected a number, got ${typeof value}; it is left out`);
        continue;
      }
      setValue(out, key, value);
      setValue(this.meta.latest, key, value);
    }
    return out;
  }

  private copy(work: () => Promise<void>): Promise<void> {
    const copying = work().finally(() => this.copying.delete(copying));
    this.copying.add(copying);
    return copying;
  }

  private async mediaName(path: string): Promise<string | null> {
    try {
      return await this.media.add(path);
    } catch (error) {
      this.tell(messageOf(error));
      return null;
    }
  }

  private async tick(): Promise<void> {
    await this.flushFiles();
    const age = performance.now() - this.metaWritten;
    // On a disk that takes long, writings must not queue up.
    const isDue = age > HEARTBEAT_MS || (this.metaDirty && age > META_MS);
    if (isDue && this.metaWaiting === 0) await this.writeMeta();
    for (const outlet of this.outlets) outlet.deliver();
  }

  private async flushFiles(): Promise<void> {
    await Promise.all(Object.values(this.files).map((file) => file.flush()));
  }

  private metaText(): string {
    return `${JSON.stringify(this.meta, null, 2)}\n`;
  }

  /** One writing at a time: they share the temporary file. */
  private writeMeta(): Promise<void> {
    this.metaWaiting++;
    this.metaWriting = this.metaWriting.then(async () => {
      this.metaDirty = false;
      this.metaWritten = performance.now();
      this.meta.heartbeat = new Date().toISOString();
      for (const { name, place } of this.outlets) this.meta.exports[name] = place;
      const file = join(this.folder, FILES.run);
      await writeAtomically(file, this.metaText(), `${file}.${process.pid}.tmp`).catch((error: unknown) =>
        this.tell(`${file}: cannot be written (${messageOf(error)}); trying again as the run goes on`),
      );
      this.metaWaiting--;
    });
    return this.metaWriting;
  }

  /** Says something once. */
  private tell(message: string): void {
    if (this.told.has(message)) return;
    this.told.add(message);
    say(message);
  }
}

/** The right to start a run in a folder; none where it cannot be written, of which what writes to it tells. */
async function claim(folder: string): Promise<Lock | null> {
  const lock = await mkdir(folder, { recursive: true })
    .then(() => takeLock(join(folder, STARTING)))
    .catch(() => null);
  if (lock === null || 'release' in lock) return lock;
  throw writtenBy(folder, lock.pid, lock.host);
}

/** What a folder holds of a run; an InputError where another living process is writing it. */
export async function refuseRunning(folder: string): Promise<RunMeta | null> {
  const before = await readMeta(folder).catch(() => null);
  if (before?.status === 'running') throw writtenBy(folder, before.process.pid, before.environment.host);
  return before;
}

const writtenBy = (folder: string, pid: number, host: string): InputError =>
  new InputError(
    `${folder}: process ${pid} on ${host} is writing this run; choose another folder, or end that process.`,
  );

/** Starts recording a run. */
export const createRun = (options: RunOptions): Promise<Run> => Run.create(options);
