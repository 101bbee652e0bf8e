// Experimental: sends a run straight to SwanLab's cloud or a self-hosted server, in batches off the training's path. The
// store stays the truth: what a server does not take in time is sent by exporting the run once more, which sends only
// what the server lacks. Seen to work against a local server that speaks the API, never against the real cloud.
import { join } from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import type { ExportContext, Exporter, Item } from '../export/contract.ts';
import { readPicture } from '../export/pictures.ts';
import { findCredentials, SwanlabApi, Unreachable } from '../export/swanlab_api.ts';
import {
  configOf,
  endScalars,
  imagesOf,
  metadataOf,
  projectName,
  scalarsOf,
  systemColumn,
} from '../export/swanlab_names.ts';
import { type EventLine, FILES, type RunFile } from '../schema.ts';

const BATCH = 10_000;
const BATCH_EVERY_MS = 1500;
const RETRY_MS = 10_000;
const HEARTBEAT_MS = 600_000;
/** How long the end of a run waits for a server that was there before, trying every second. */
const LAST_WAIT_MS = 30_000;
const LAST_RETRY_MS = 1000;
/** More is not kept in memory: the store has it. */
const MOST_WAITING = 500_000;

type Point = { key: string; index: number; data: number | 'nan'; create_time: string };
type Line = { level: 'INFO' | 'ERROR'; epoch: number; message: string; create_time: string };
type Column = { key: string; type: 'FLOAT' | 'IMAGE' | 'SYSTEM'; sectionName?: string };

const STATES = { running: 'CRASHED', finished: 'FINISHED', failed: 'CRASHED', aborted: 'ABORTED' } as const;

class SwanlabCloud implements Exporter {
  place: string;
  private points: Point[] = [];
  private lines: Line[] = [];
  private events: EventLine[] = [];
  private columns: Column[] = [];
  private readonly knownColumns = new Set<string>();
  private lastSteps: ReadonlyMap<string, number> = new Map();
  private lastEpoch = 0;
  private connected = false;
  private refused = false;
  private epoch = 0;
  private systemStep = 0;
  private overflow = 0;
  private nextSend = 0;
  private nextHeartbeat = 0;

  constructor(
    private readonly context: ExportContext,
    private readonly api: SwanlabApi,
    host: string,
  ) {
    this.place = host;
  }

  take(item: Item): void {
    if (this.points.length + this.lines.length > MOST_WAITING) this.overflow++;
    else if (item.kind === 'scalars')
      for (const [key, value] of scalarsOf(item.step, item.values)) this.point(key, item.step, item.time, value);
    else if (item.kind === 'system') {
      for (const [name, value] of Object.entries(item.values)) {
        const { key } = systemColumn(name);
        this.column({ key, type: 'SYSTEM' });
        this.points.push(pointOf(key, this.systemStep, item.time, value));
      }
      this.systemStep++;
    } else if (item.kind === 'console') {
      const create_time = new Date(item.time).toISOString();
      this.lines.push({ level: 'INFO', epoch: ++this.epoch, message: item.line, create_time });
    } else this.events.push(item.event);
  }

  async write(items: readonly Item[]): Promise<void> {
    for (const item of items) this.take(item);
    if (this.refused || performance.now() < this.nextSend) return;
    this.nextSend = performance.now() + BATCH_EVERY_MS;
    try {
      await this.send();
      if (performance.now() >= this.nextHeartbeat) {
        this.nextHeartbeat = performance.now() + HEARTBEAT_MS;
        await this.api.heartbeat();
      }
    } catch (error) {
      if (error instanceof Unreachable) this.nextSend = performance.now() + RETRY_MS;
      throw error;
    }
  }

  async finish(run: Readonly<RunFile>): Promise<readonly string[]> {
    const time = run.endedAt ?? new Date().toISOString();
    for (const [key, value] of endScalars(run)) this.point(key, run.step ?? 0, Date.parse(time), value);
    const deadline = performance.now() + LAST_WAIT_MS;
    let fault = this.refused ? 'it refused the run' : '';
    while (!this.refused) {
      try {
        while (this.waiting() > 0 || !this.connected) await this.send();
        await this.api.finish(STATES[run.status], time);
        fault = '';
        break;
      } catch (error) {
        fault = messageOf(error);
        if (!(error instanceof Unreachable) || !this.connected || performance.now() > deadline) break;
        await new Promise((retry) => setTimeout(retry, LAST_RETRY_MS));
      }
    }
    const left = this.waiting() + this.overflow;
    if (fault === '' && left === 0) return [`the run at SwanLab: ${this.place}`];
    return [
      `swanlab-cloud: ${left} records were not sent (${fault || 'too many waited'}). The run is whole in its folder; ` +
        `send the rest with: texlens runs export ${this.context.folder} --format swanlab-cloud`,
    ];
  }

  private waiting(): number {
    return this.points.length + this.lines.length + this.events.length + this.columns.length;
  }

  /** Sends one batch of everything; what fails for want of a server stays for the next time. */
  private async send(): Promise<void> {
    if (!this.connected) await this.connect();
    await this.batch(this.columns, (columns) => this.api.columns(columns));
    await this.batch(this.points, async (points) => {
      const fresh = points.filter(({ key, index }) => index > (this.lastSteps.get(key) ?? -1));
      if (fresh.length > 0) await this.api.metrics('scalar', fresh);
    });
    await this.batch(this.lines, async (lines) => {
      const fresh = lines.filter(({ epoch }) => epoch > this.lastEpoch);
      if (fresh.length > 0) await this.api.metrics('log', fresh);
    });
    while (this.events.length > 0) await this.batch(this.events, ([event]) => this.media(event as EventLine), 1);
  }

  /** Takes the first of a queue off once they are sent, or once it is plain that they never will be. */
  private async batch<T>(queue: T[], send: (part: T[]) => Promise<void>, most = BATCH): Promise<void> {
    const part = queue.slice(0, most);
    if (part.length === 0) return;
    try {
      await send(part);
    } catch (error) {
      if (error instanceof Unreachable) throw error;
      this.context.tell(`swanlab-cloud: ${part.length} records are left out (${messageOf(error)})`);
    }
    queue.splice(0, part.length);
  }

  private async connect(): Promise<void> {
    const { run, settings } = this.context;
    const { env } = process;
    try {
      const experiment = await this.api.open({
        project: projectName(settings.swanlabProject ?? env.SWANLAB_PROJ_NAME ?? run.project),
        workspace: settings.swanlabWorkspace ?? env.SWANLAB_WORKSPACE ?? '',
        id: run.id,
        name: (env.SWANLAB_EXP_NAME ?? run.name).slice(0, 512),
        notes: run.notes.slice(0, 1024),
        tags: run.tags,
      });
      this.lastSteps = experiment.lastSteps;
      this.lastEpoch = experiment.lastEpoch;
      this.place = experiment.page;
      await this.api.profile('config', configOf(run));
      await this.api.profile('metadata', metadataOf(run));
      await this.api.heartbeat();
      this.nextHeartbeat = performance.now() + HEARTBEAT_MS;
      this.connected = true;
    } catch (error) {
      // A refusal will not change; a server that is away may come back.
      this.refused = !(error instanceof Unreachable);
      throw error;
    }
  }

  private point(key: string, step: number, time: number, value: number): void {
    this.column({ key, type: 'FLOAT' });
    this.points.push(pointOf(key, step, time, value));
  }

  private column(column: Column): void {
    if (this.knownColumns.has(column.key)) return;
    this.knownColumns.add(column.key);
    const slash = column.type === 'SYSTEM' ? -1 : column.key.indexOf('/');
    this.columns.push(slash > 0 ? { ...column, sectionName: column.key.slice(0, slash) } : column);
  }

  private async media(event: EventLine): Promise<void> {
    const entry = imagesOf(event);
    if (!entry || entry.key === '' || entry.images.length === 0) return;
    if (event.step <= (this.lastSteps.get(entry.key) ?? -1)) return;
    this.column({ key: entry.key, type: 'IMAGE' });
    await this.batch(this.columns, (columns) => this.api.columns(columns));
    const files = [];
    for (const { file, caption } of entry.images) {
      try {
        const { bytes, extension } = await readPicture(join(this.context.folder, FILES.media, file));
        const name = `${String(event.step).padStart(3, '0')}-${file.slice(0, 8)}${extension}`;
        const type = extension === '.png' ? 'image/png' : 'image/jpeg';
        files.push({ path: `media/image/${name}`, bytes, type, caption: caption || '–' });
      } catch (error) {
        this.context.tell(`swanlab-cloud: ${file} is left out (${messageOf(error)})`);
      }
    }
    if (files.length === 0) return;
    await this.api.resources(files);
    const metric = {
      key: entry.key,
      index: event.step,
      data: files.map(({ path }) => path),
      more: files.map(({ caption }) => ({ caption })),
      create_time: new Date(event.time).toISOString(),
    };
    await this.api.metrics('media', [metric]);
  }
}

const pointOf = (key: string, index: number, time: number, value: number): Point => ({
  key,
  index,
  data: Number.isFinite(value) ? value : 'nan',
  create_time: new Date(time).toISOString(),
});

export async function openSwanlabCloud(context: ExportContext): Promise<Exporter> {
  const credentials = await findCredentials(context.settings);
  const exporter = new SwanlabCloud(
    context,
    new SwanlabApi(credentials, context.run.environment.program),
    credentials.api,
  );
  for await (const item of context.history()) exporter.take(item);
  return exporter;
}
