// How a run's figures are called in SwanLab, for its files and its API alike: metric names as its Hugging Face callback
// gives them, the columns of the system monitor, configuration and metadata.
import type { EventLine, RunFile } from '../schema.ts';

const KEY_LENGTH = 512;
/** What one entry of a media chart may hold. */
export const MOST_IMAGES = 108;
export const MOST_IMAGE_BYTES = 10 << 20;
const SYSTEM = '__swanlab__.';

/** A project name out of any text. */
export function projectName(text: string): string {
  return text.replace(/[^0-9a-zA-Z_\-+.]+/g, '-').slice(0, 100) || 'texlens';
}

/** A metric's name, without what SwanLab refuses at its ends; '' when nothing is left. */
export function metricKey(key: string): string {
  return key.slice(0, KEY_LENGTH).replace(/^[\s./]+|[\s./]+$/g, '');
}

/** The values of one step; with the callback's train/global_step. */
export function scalarsOf(step: number, values: Readonly<Record<string, number>>): [key: string, value: number][] {
  const out = Object.entries(values).flatMap(([key, value]): [string, number][] => {
    const name = metricKey(key);
    return name === '' ? [] : [[name, value]];
  });
  const trains = out.some(([key]) => key.startsWith('train/'));
  if (trains && values['train/global_step'] === undefined) out.push(['train/global_step', step]);
  return out;
}

/** What the callback logs once, at the end. */
export function endScalars(run: Readonly<RunFile>): [key: string, value: number][] {
  return Object.entries(run.summary).flatMap(([name, value]): [string, number][] =>
    typeof value === 'number' ? [[`single_value/${metricKey(name)}`, value]] : [],
  );
}

export interface SystemColumn {
  readonly key: string;
  readonly name: string;
  readonly chart: string;
  readonly min?: number;
  readonly max?: number;
}

const CHARTS: Readonly<Record<string, readonly [chart: string, min?: number, max?: number]>> = {
  'cpu.pct': ['CPU Utilization (%)', 0, 100],
  'cpu.thds': ['Process CPU Threads', 0],
  'mem.pct': ['System Memory Utilization (%)', 0, 100],
  'mem.proc': ['Process Memory In Use (non-swap) (MB)', 0],
  'mem.proc.pct': ['Process Memory Utilization (%)', 0, 100],
  'mem.proc.avail': ['Process Memory Available (non-swap) (MB)', 0],
  'gpu.pct': ['GPU Utilization (%)', 0, 100],
  'gpu.mem.pct': ['GPU Memory Allocated (%)', 0, 100],
  'gpu.mem.value': ['GPU Memory Allocated (MB)', 0],
  'gpu.temp': ['GPU Temperature (°C)'],
  'gpu.power': ['GPU Power Usage (W)', 0],
};

/** The column of one of the monitor's figures. */
export function systemColumn(key: string): SystemColumn {
  const gpu = /^gpu\.(\d+)\./.exec(key)?.[1];
  const [chart, min, max] = CHARTS[gpu === undefined ? key : key.replace(`gpu.${gpu}.`, 'gpu.')] ?? [key];
  return { key: SYSTEM + key, name: gpu === undefined ? chart : `GPU ${gpu}`, chart, min, max };
}

/** Captioned images of an event; names are those of the run's media folder. */
export function imagesOf(event: EventLine): { key: string; images: { file: string; caption: string }[] } | null {
  if (event.type === 'image') return { key: metricKey(event.key), images: event.images.slice(0, MOST_IMAGES) };
  if (event.type !== 'evaluation') return null;
  const images = event.rows.flatMap(({ image, truth, prediction }) =>
    image === null ? [] : [{ file: image, caption: `prediction: ${prediction}\ntruth: ${truth}` }],
  );
  return { key: 'eval/predictions', images: images.slice(0, MOST_IMAGES) };
}

/** {key: {value, desc, sort}}. */
export function configOf(run: Readonly<RunFile>): Record<string, { value: unknown; desc: string; sort: number }> {
  return Object.fromEntries(Object.entries(run.config).map(([key, value], sort) => [key, { value, desc: '', sort }]));
}

/** JSON that PyYAML reads as the same values: to it 1e-7 is a text and 1.0e-7 a number. */
export function yamlJson(value: unknown): string {
  if (typeof value === 'number' && Number.isFinite(value)) {
    const [digits = '', exponent] = String(value).split('e');
    return exponent === undefined ? digits : `${digits.includes('.') ? digits : `${digits}.0`}e${exponent}`;
  }
  if (typeof value === 'string')
    return JSON.stringify(value).replace(
      /[\u007f-\u009f\ufeff\ufffe\uffff]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  if (Array.isArray(value)) return `[${value.map(yamlJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${entries.map(([key, item]) => `${yamlJson(key)}: ${yamlJson(item)}`).join(', ')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

/** What the SDK's probe writes, as far as it has a meaning without Python. */
export function metadataOf(run: Readonly<RunFile>): Record<string, unknown> {
  const { environment, hardware, git } = run;
  return {
    _version: 2,
    hardware: {
      cpu: { brand: hardware.cpu, logical_count: hardware.cores },
      memory: { total: Math.floor(hardware.memoryBytes / 2 ** 30), total_unit: 'GB' },
      accelerators: hardware.gpus.map(({ name, memoryBytes, driver }) => ({
        name,
        memory: Math.floor(memoryBytes / 2 ** 30),
        memory_unit: 'GB',
        driver,
      })),
    },
    runtime: {
      os: environment.platform,
      hostname: environment.host,
      pid: run.process.pid,
      cwd: environment.folder,
      command: environment.command,
      node_version: environment.node,
      program: environment.program,
    },
    git: { remote_url: git?.remote || null, branch: git?.branch ?? null, commit: git?.commit ?? null },
  };
}
