// TensorBoard event files: TFRecord framing with masked CRC-32C around protobuf (tensorflow.Event). Scalars and texts go
// into one file; images into one of their own in images/, since importers of scalars choke on them and TensorBoard
// reads one growing file a folder.
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { crc32c } from '../../shared/crc32.ts';
import { messageOf } from '../../shared/errors.ts';
import { Appender } from '../appender.ts';
import type { ExportContext, Exporter, Item } from '../export/contract.ts';
import { readPicture } from '../export/pictures.ts';
import { type EventLine, FILES, type RunFile } from '../schema.ts';

const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const EventType = protobuf.Root.fromJSON({
  nested: {
    PluginData: { fields: { pluginName: { type: 'string', id: 1 } } },
    Metadata: { fields: { pluginData: { type: 'PluginData', id: 1 } } },
    Image: {
      fields: {
        height: { type: 'int32', id: 1 },
        width: { type: 'int32', id: 2 },
        colorspace: { type: 'int32', id: 3 },
        encodedImageString: { type: 'bytes', id: 4 },
      },
    },
    Shape: { fields: {} },
    Tensor: {
      fields: {
        dtype: { type: 'int32', id: 1 },
        tensorShape: { type: 'Shape', id: 2 },
        stringVal: repeated('bytes', 8),
      },
    },
    Value: {
      // One of these is always there, and is written though it be 0.
      oneofs: { value: { oneof: ['simpleValue', 'image', 'tensor'] } },
      fields: {
        tag: { type: 'string', id: 1 },
        simpleValue: { type: 'float', id: 2 },
        image: { type: 'Image', id: 4 },
        tensor: { type: 'Tensor', id: 8 },
        metadata: { type: 'Metadata', id: 9 },
      },
    },
    Summary: { fields: { value: repeated('Value', 1) } },
    Event: {
      fields: {
        wallTime: { type: 'double', id: 1 },
        step: { type: 'int64', id: 2 },
        fileVersion: { type: 'string', id: 3 },
        summary: { type: 'Summary', id: 5 },
      },
    },
  },
}).lookupType('Event');

/** A long history is written in parts. */
const FLUSH_EVERY = 1000;
const DT_STRING = 7;
/** Images of one evaluation that are shown. */
const MOST_IMAGES = 16;

export interface SummaryValue {
  readonly tag: string;
  readonly simpleValue?: number;
  readonly image?: {
    readonly height: number;
    readonly width: number;
    readonly colorspace: number;
    readonly encodedImageString: Uint8Array;
  };
  readonly tensor?: { readonly dtype: number; readonly tensorShape: object; readonly stringVal: readonly Uint8Array[] };
  readonly metadata?: { readonly pluginData: { readonly pluginName: string } };
}

export interface TensorboardEvent {
  /** seconds */
  readonly wallTime: number;
  readonly step?: number;
  readonly fileVersion?: string;
  readonly summary?: { readonly value: readonly SummaryValue[] };
}

/** One event in its frame: length, its masked sum, data, its masked sum. */
export function encodeEvent({ step, ...event }: TensorboardEvent): Uint8Array {
  const data = EventType.encode(EventType.fromObject(step ? { ...event, step } : event)).finish();
  const out = Buffer.alloc(data.length + 16);
  out.writeBigUInt64LE(BigInt(data.length), 0);
  out.writeUInt32LE(masked(out.subarray(0, 8)), 8);
  out.set(data, 12);
  out.writeUInt32LE(masked(data), data.length + 12);
  return out;
}

function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A text as the text dashboard shows it, in Markdown. */
export function textValue(key: string, text: string): SummaryValue {
  return {
    tag: `${key}/text_summary`,
    tensor: { dtype: DT_STRING, tensorShape: {}, stringVal: [Buffer.from(text)] },
    metadata: { pluginData: { pluginName: 'text' } },
  };
}

class TensorboardFiles implements Exporter {
  constructor(
    readonly place: string,
    private readonly context: ExportContext,
    private readonly scalars: Appender,
    private readonly images: Appender,
  ) {}

  async begin(): Promise<void> {
    const wallTime = Date.now() / 1000;
    for (const file of [this.scalars, this.images]) file.push(encodeEvent({ wallTime, fileVersion: 'brain.Event:2' }));
    const config = `    ${JSON.stringify(this.context.run.config, null, 2).replaceAll('\n', '\n    ')}`;
    this.scalars.push(encodeEvent({ wallTime, summary: { value: [textValue('config', config)] } }));
    let taken = 0;
    for await (const item of this.context.history()) {
      await this.take(item);
      if (++taken % FLUSH_EVERY === 0) await this.flush();
    }
    await this.flush();
  }

  async write(items: readonly Item[]): Promise<void> {
    for (const item of items) await this.take(item);
    await this.flush();
  }

  async finish(_run: Readonly<RunFile>): Promise<readonly string[]> {
    await this.scalars.close();
    await this.images.close();
    return [`look at it with: tensorboard --logdir ${this.place}`];
  }

  private async take(item: Item): Promise<void> {
    if (item.kind === 'scalars') {
      const value = Object.entries(item.values).map(([tag, simpleValue]) => ({ tag, simpleValue }));
      this.scalars.push(encodeEvent({ wallTime: item.time / 1000, step: item.step, summary: { value } }));
    } else if (item.kind === 'event') await this.event(item.event);
  }

  private async event(event: EventLine): Promise<void> {
    const at = { wallTime: event.time / 1000, step: event.step };
    if (event.type === 'text')
      this.scalars.push(encodeEvent({ ...at, summary: { value: [textValue(event.key, event.text)] } }));
    if (event.type === 'evaluation') {
      const rows = event.rows.map(({ truth, prediction }) => `| ${cell(truth)} | ${cell(prediction)} |`);
      const table = ['| truth | prediction |', '| --- | --- |', ...rows].join('\n');
      this.scalars.push(encodeEvent({ ...at, summary: { value: [textValue('eval/predictions', table)] } }));
      const files = event.rows.flatMap(({ image }) => (image === null ? [] : [image])).slice(0, MOST_IMAGES);
      await this.pictures(at, 'eval/predictions', files);
    }
    if (event.type === 'image')
      await this.pictures(at, event.key, event.images.map(({ file }) => file).slice(0, MOST_IMAGES));
  }

  private async pictures(at: { wallTime: number; step: number }, key: string, files: readonly string[]): Promise<void> {
    const value: SummaryValue[] = [];
    for (const [i, file] of files.entries()) {
      try {
        const { bytes, width, height, channels } = await readPicture(join(this.context.folder, FILES.media, file));
        const image = { height, width, colorspace: channels, encodedImageString: bytes };
        value.push({ tag: `${key}/${i}`, image });
      } catch (error) {
        this.context.tell(`tensorboard: ${file} is left out (${messageOf(error)})`);
      }
    }
    if (value.length > 0) this.images.push(encodeEvent({ ...at, summary: { value } }));
  }

  private async flush(): Promise<void> {
    await this.scalars.flush();
    await this.images.flush();
  }
}

/** A cell of a Markdown table that shows any text as it is. */
const cell = (text: string): string =>
  `\`\` ${text.replace(/\s+/g, ' ').replaceAll('|', '\\|').replaceAll('``', '` `')} \`\``;

/** Event files made by this exporter carry its name, so that only they are replaced when a run is written anew. */
const MARK = '.texlens';

export async function openTensorboard(context: ExportContext): Promise<Exporter> {
  const place = join(context.folder, 'tensorboard');
  const folders = [place, join(place, 'images')];
  const stamp = Math.floor(Date.now() / 1000);
  const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
  const files = [];
  for (const folder of folders) {
    await mkdir(folder, { recursive: true });
    for (const entry of await readdir(folder))
      if (entry.startsWith('events.out.tfevents.') && entry.endsWith(MARK)) await rm(join(folder, entry));
    files.push(await Appender.open(join(folder, `events.out.tfevents.${stamp}.${host}${MARK}`), 'new', context.tell));
  }
  const exporter = new TensorboardFiles(place, context, files[0] as Appender, files[1] as Appender);
  await exporter.begin();
  return exporter;
}
