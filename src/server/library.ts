// The runs of a folder as the dashboard sees them: listed at most once a second, opened on demand and kept open while
// somebody looks. Versions count upwards with every change, so that a page knows when to ask again.
import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { listRuns, openRun, type RunEntry, type RunReader } from '../tracker/reader.ts';

/** Runs held open; a long one takes tens of megabytes. */
const MOST_OPEN = 12;

export interface OpenRun {
  readonly reader: RunReader;
  readonly version: number;
}

interface Held {
  reader: RunReader;
  version: number;
  refreshing: Promise<void> | null;
  refreshedAt: number;
}

export interface Listing {
  /** by id, the newest first */
  readonly runs: ReadonlyMap<string, RunEntry>;
  readonly damaged: readonly string[];
  readonly version: number;
}

export class Library {
  private listing: Listing = { runs: new Map(), damaged: [], version: 0 };
  private text = '';
  private scanning: Promise<void> | null = null;
  private nextScan = 0;
  private readonly held = new Map<string, Promise<Held>>();

  constructor(
    readonly root: string,
    private readonly intervalMs = 1000,
  ) {}

  /** Every run, as of a second ago at most (longer where reading the folder itself takes long). */
  async list(): Promise<Listing> {
    if (performance.now() >= this.nextScan) {
      this.scanning ??= this.scan().finally(() => {
        this.scanning = null;
      });
    }
    await this.scanning;
    return this.listing;
  }

  /** After a change of our own, the next look must be a new one. */
  async touch(): Promise<void> {
    await this.scanning;
    this.nextScan = 0;
  }

  private async scan(): Promise<void> {
    const start = performance.now();
    const { runs, damaged } = await listRuns(this.root);
    const text = JSON.stringify([runs, damaged]);
    if (text !== this.text) {
      this.listing = { runs: named(runs), damaged, version: this.listing.version + 1 };
      this.text = text;
    }
    const took = performance.now() - start;
    this.nextScan = start + Math.max(this.intervalMs, 10 * took);
  }

  async find(id: string): Promise<RunEntry | undefined> {
    const known = this.listing.runs.get(id);
    return known ?? (await this.list()).runs.get(id);
  }

  /** The run, read up to a moment ago; undefined when there is none of this id. */
  async open(id: string): Promise<OpenRun | undefined> {
    const entry = await this.find(id);
    if (!entry) return undefined;
    const opening = this.held.get(entry.folder) ?? hold(entry.folder);
    // The map's order is the order of use: the first is the one to close.
    this.held.delete(entry.folder);
    this.held.set(entry.folder, opening);
    for (const folder of this.held.keys()) {
      if (this.held.size <= MOST_OPEN) break;
      this.held.delete(folder);
    }
    let held: Held;
    try {
      held = await opening;
    } catch (error) {
      this.held.delete(entry.folder);
      throw error;
    }
    if (performance.now() >= held.refreshedAt + this.intervalMs / 2) {
      held.refreshing ??= refresh(held);
    }
    await held.refreshing;
    return held;
  }

  /** Forgets an open run, whose folder is about to go. */
  close(folder: string): void {
    this.held.delete(folder);
  }
}

async function hold(folder: string): Promise<Held> {
  const reader = await openRun(folder);
  return { reader, version: 1, refreshing: null, refreshedAt: performance.now() };
}

async function refresh(held: Held): Promise<void> {
  try {
    const change = await held.reader.refresh();
    if (Object.values(change).includes(true)) held.version++;
  } finally {
    held.refreshedAt = performance.now();
    held.refreshing = null;
  }
}

/** Runs by id. A copied folder has its original's id: the later in order gets one of its own, made from its path. */
function named(runs: readonly RunEntry[]): Map<string, RunEntry> {
  const byId = new Map<string, RunEntry>();
  for (const run of runs) {
    const { id } = run.meta;
    const suffix = createHash('sha256').update(run.path).digest('hex').slice(0, 8);
    byId.set(byId.has(id) ? `${id}-${suffix}` : id, run);
  }
  return byId;
}
