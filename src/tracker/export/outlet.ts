// One exporter as the run sees it: items are handed over and forgotten, one batch at a time, and a failure is told once.
import { messageWithPath } from '../../shared/errors.ts';
import { EXPORTERS, type ExporterName } from '../exporters/index.ts';
import type { RunFile } from '../schema.ts';
import type { ExportContext, Exporter, Item } from './contract.ts';

/** An exporter that does not end by itself is left after this long. */
const PATIENCE_MS = 60_000;

export class Outlet {
  private waiting: Item[] = [];
  private writing: Promise<void> | null = null;

  private constructor(
    readonly name: ExporterName,
    private readonly exporter: Exporter,
    private readonly tell: (message: string) => void,
  ) {}

  /** Opens an exporter; null, with a word to the user, when it cannot be had. */
  static async open(name: ExporterName, context: ExportContext): Promise<Outlet | null> {
    try {
      const open = await EXPORTERS[name]();
      return new Outlet(name, await open(context), context.tell);
    } catch (error) {
      context.tell(`${name}: cannot be written to (${messageWithPath(error)}); the run goes on without it`);
      return null;
    }
  }

  get place(): string {
    return this.exporter.place;
  }

  push(item: Item): void {
    this.waiting.push(item);
  }

  /** Starts handing over what waits, unless a batch is under way. An empty batch lets an exporter try again. */
  deliver(): void {
    if (this.writing) return;
    const items = this.waiting;
    this.waiting = [];
    this.writing = this.exporter
      .write(items)
      .catch((error: unknown) => this.tell(`${this.name}: ${messageWithPath(error)}`))
      .finally(() => {
        this.writing = null;
      });
  }

  async finish(run: Readonly<RunFile>): Promise<readonly string[]> {
    const all = async (): Promise<readonly string[]> => {
      await this.writing;
      this.deliver();
      await this.writing;
      return this.exporter.finish(run);
    };
    try {
      return await within(PATIENCE_MS, all());
    } catch (error) {
      return [`${this.name}: could not be ended (${messageWithPath(error)}); the run itself is whole in its folder`];
    }
  }
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
