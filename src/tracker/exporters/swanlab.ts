// A run directory that `swanlab sync` uploads: records as they come, flushed batch by batch, so that a killed run uploads
// what it has. Made anew, with all that stands in the store, when a run is resumed.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import { Appender } from '../appender.ts';
import type { ExportContext, Exporter, Item } from '../export/contract.ts';
import { readPicture } from '../export/pictures.ts';
import {
  encodeRecord,
  FILE_HEADER,
  Framer,
  type MediaItem,
  type SwanlabRecord,
  timestamp,
} from '../export/swanlab_log.ts';
import {
  configOf,
  endScalars,
  imagesOf,
  MOST_IMAGE_BYTES,
  metadataOf,
  metricKey,
  projectName,
  scalarsOf,
  systemColumn,
  yamlJson,
} from '../export/swanlab_names.ts';
import { type EventLine, FILES, type RunFile } from '../schema.ts';

const [START, FINISH, CONFIG, METADATA] = [-1, -2, -3, -4] as const;
/** A long history is written in parts. */
const FLUSH_EVERY = 1000;
const SCALAR = 1;
const IMAGE = 2;
const TEXT = 4;
const STATES: Readonly<Record<RunFile['status'], number>> = { running: 0, finished: 1, failed: 2, aborted: 3 };

type Body = Omit<SwanlabRecord, 'num' | 'timestamp'>;

class SwanlabDirectory implements Exporter {
  private readonly framer = new Framer();
  private counter = 0;
  private epoch = 0;
  private systemStep = 0;
  private readonly systemKeys = new Set<string>();

  constructor(
    readonly place: string,
    private readonly context: ExportContext,
    private readonly file: Appender,
  ) {}

  async begin(): Promise<void> {
    const { run, settings } = this.context;
    this.file.push(FILE_HEADER);
    this.put(START, Date.now(), {
      start: {
        project: projectName(settings.swanlabProject ?? process.env.SWANLAB_PROJ_NAME ?? run.project),
        workspace: settings.swanlabWorkspace ?? process.env.SWANLAB_WORKSPACE ?? '',
        name: (process.env.SWANLAB_EXP_NAME ?? run.name).slice(0, 512),
        description: run.notes.slice(0, 1024),
        tags: run.tags.map((tag) => tag.slice(0, 512)),
        id: run.id,
        startedAt: timestamp(Date.parse(run.createdAt)),
      },
    });
    const config = join(this.place, 'files', 'config.yaml');
    await writeFile(config, `${yamlJson(configOf(run))}\n`);
    this.put(CONFIG, Date.now(), { save: { name: 'config', sourcePath: config, type: 1 } });
    const metadata = join(this.place, 'files', 'swanlab-metadata.json');
    await writeFile(metadata, JSON.stringify(metadataOf(run)));
    this.put(METADATA, Date.now(), { save: { name: 'metadata', sourcePath: metadata, type: 2 } });
    let taken = 0;
    for await (const item of this.context.history()) {
      await this.take(item);
      if (++taken % FLUSH_EVERY === 0) await this.file.flush();
    }
    await this.file.flush();
  }

  async write(items: readonly Item[]): Promise<void> {
    for (const item of items) await this.take(item);
    await this.file.flush();
  }

  async finish(run: Readonly<RunFile>): Promise<readonly string[]> {
    const time = Date.parse(run.endedAt ?? '') || Date.now();
    for (const [key, value] of endScalars(run)) this.scalar(key, run.step ?? 0, time, value);
    if (run.status !== 'running')
      this.put(FINISH, time, {
        finish: { state: STATES[run.status], error: run.error ?? '', finishedAt: timestamp(time) },
      });
    await this.file.close();
    return [`upload to SwanLab with: swanlab sync ${this.place}`];
  }

  private async take(item: Item): Promise<void> {
    if (item.kind === 'scalars')
      for (const [key, value] of scalarsOf(item.step, item.values)) this.scalar(key, item.step, item.time, value);
    else if (item.kind === 'system') this.system(item.time, item.values);
    else if (item.kind === 'console') {
      this.epoch++;
      const log = { line: item.line, level: 0, timestamp: timestamp(item.time), epoch: this.epoch };
      this.put(null, item.time, { log });
    } else
      await this.event(item.event).catch((error: unknown) =>
        this.context.tell(
          `swanlab: an ${item.event.type} of step ${item.event.step} is left out (${messageOf(error)})`,
        ),
      );
  }

  private scalar(key: string, step: number, time: number, number: number): void {
    this.put(null, time, { scalar: { key, step, type: SCALAR, timestamp: timestamp(time), value: { number } } });
  }

  private system(time: number, values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) {
      const { key, name: title, chart, min, max } = systemColumn(name);
      if (!this.systemKeys.has(key)) {
        this.systemKeys.add(key);
        this.put(null, time, {
          column: {
            class: 2,
            type: SCALAR,
            key,
            name: title,
            sectionName: '',
            sectionType: 4,
            ...(min !== undefined || max !== undefined ? { yRange: { min, max } } : {}),
            chartIndex: chart,
            chartName: chart,
            chartType: 1,
            metricName: title,
          },
        });
      }
      this.scalar(key, this.systemStep, time, value);
    }
    this.systemStep++;
  }

  private async event(event: EventLine): Promise<void> {
    const images = imagesOf(event);
    if (images) {
      const items: MediaItem[] = [];
      for (const { file, caption } of images.images) {
        const item = await this.image(file, event.step, caption);
        if (item) items.push(item);
      }
      if (items.length > 0) this.media(images.key, IMAGE, event, items);
    } else if (event.type === 'text') {
      const bytes = Buffer.from(event.text);
      this.media(metricKey(event.key), TEXT, event, [await this.store('text', event.step, bytes, '.txt', '')]);
    }
  }

  private media(key: string, type: number, { step, time }: EventLine, items: readonly MediaItem[]): void {
    // Of captions, SwanLab wants one for every item or none.
    const captioned = items.some(({ caption }) => caption !== '');
    const value = { items: items.map((item) => ({ ...item, caption: captioned ? item.caption || '–' : '' })) };
    if (key !== '') this.put(null, time, { media: { key, step, type, timestamp: timestamp(time), value } });
  }

  private async image(file: string, step: number, caption: string): Promise<MediaItem | null> {
    try {
      const { bytes, extension } = await readPicture(join(this.context.folder, FILES.media, file));
      if (bytes.length > MOST_IMAGE_BYTES) throw new Error('SwanLab takes 10 MB an image at most');
      return await this.store('image', step, bytes, extension, caption);
    } catch (error) {
      this.context.tell(`swanlab: ${file} is left out (${messageOf(error)})`);
      return null;
    }
  }

  private async store(
    kind: string,
    step: number,
    bytes: Buffer,
    extension: string,
    caption: string,
  ): Promise<MediaItem> {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const filename = `${String(step).padStart(3, '0')}-${sha256.slice(0, 8)}${extension}`;
    const folder = join(this.place, 'media', kind);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, filename), bytes);
    return { filename, sha256, size: bytes.length, caption };
  }

  private put(num: number | null, time: number, body: Body): void {
    const record = { num: num ?? ++this.counter, timestamp: timestamp(time), ...body };
    this.file.push(this.framer.frame(encodeRecord(record)));
  }
}

export async function openSwanlab(context: ExportContext): Promise<Exporter> {
  const { run, settings, folder } = context;
  const logdir = resolve(settings.swanlabLogdir ?? process.env.SWANLAB_LOGDIR ?? join(folder, 'swanlog'));
  const place = await ownFolder(logdir, run.id);
  await writeFile(join(logdir, '.gitignore'), '*');
  for (const name of ['files', 'media', 'debug']) await mkdir(join(place, name));
  await writeFile(join(place, 'debug', 'debug.log'), '');
  const exporter = new SwanlabDirectory(
    place,
    context,
    await Appender.open(join(place, `run-${run.id}.swanlab`), 'new', context.tell),
  );
  await exporter.begin();
  return exporter;
}

/** run-YYYYMMDD_HHMMSS-ID in local time; a second one within the same second waits for the next. */
async function ownFolder(logdir: string, id: string): Promise<string> {
  await mkdir(logdir, { recursive: true });
  for (;;) {
    const now = new Date();
    const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
    const stamp = local.slice(0, 19).replaceAll('-', '').replaceAll(':', '').replace('T', '_');
    const place = join(logdir, `run-${stamp}-${id}`);
    try {
      await mkdir(place);
      return place;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await new Promise((retry) => setTimeout(retry, 100));
    }
  }
}
