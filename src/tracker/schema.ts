// What a run records. A run is a folder, and everything in it is JSON that can be read by eye:
//   run.json        what the run is, how it stands, its latest values; rewritten whole, atomically
//   scalars.jsonl   a line a step: {step, time, values}; or {resume, time}: the run goes on after that step, and what
//                   was written of later ones was lost with its process
//   events.jsonl    evaluations, images, texts, checkpoints
//   system.jsonl    {time, values} of the machine
//   console.jsonl   {time, level, line} of what was printed
//   media/          images, named after their content
//   edits.json      tags and notes changed by somebody else than the process that writes the run
// Times are milliseconds since 1970 in lines and ISO 8601 in run.json. JSONL files only ever grow.
import { z } from 'zod';

export const SCHEMA_VERSION = 1;

export const FILES = {
  run: 'run.json',
  scalars: 'scalars.jsonl',
  events: 'events.jsonl',
  system: 'system.jsonl',
  console: 'console.jsonl',
  media: 'media',
  edits: 'edits.json',
} as const;

/** There while a run is being started, so that no two are in one folder. */
export const STARTING = '.starting';

/** A number, or the name of one that JSON lacks. */
export const Value = z.union([z.number(), z.literal(['NaN', 'Infinity', '-Infinity'])]);
export type Value = z.output<typeof Value>;
export const Values = z.record(z.string(), Value);
export type Values = z.output<typeof Values>;

const step = z.int().min(0);
const time = z.number();
/** The name of a file in media/; nothing else is ever looked up there. */
export const MediaName = z.string().regex(/^[0-9a-f]{16}\.(png|jpg|gif|webp)$/);

export const ConsoleLine = z.object({ time, level: z.enum(['out', 'err']), line: z.string() });
export type ConsoleLine = z.output<typeof ConsoleLine>;

/** One formula of an evaluation; `image` is a name in media/, null when the file could not be copied. */
export const EvaluationRow = z.object({
  image: MediaName.nullable(),
  source: z.string(),
  truth: z.string(),
  prediction: z.string(),
  metrics: Values,
});
export type EvaluationRow = z.output<typeof EvaluationRow>;

export const Evaluation = z.object({
  type: z.literal('evaluation'),
  step,
  time,
  metrics: Values,
  rows: z.array(EvaluationRow),
});
export type Evaluation = z.output<typeof Evaluation>;
export const ImageEvent = z.object({
  type: z.literal('image'),
  step,
  time,
  key: z.string(),
  images: z.array(z.object({ file: MediaName, caption: z.string() })),
});
export type ImageEvent = z.output<typeof ImageEvent>;
export const TextEvent = z.object({ type: z.literal('text'), step, time, key: z.string(), text: z.string() });
export type TextEvent = z.output<typeof TextEvent>;
export const CheckpointEvent = z.object({
  type: z.literal('checkpoint'),
  step,
  time,
  path: z.string(),
  best: z.boolean(),
});
export type CheckpointEvent = z.output<typeof CheckpointEvent>;

export const EventLine = z.discriminatedUnion('type', [Evaluation, ImageEvent, TextEvent, CheckpointEvent]);
export type EventLine = z.output<typeof EventLine>;

const iso = z.string();

export const ProcessIdentity = z.object({
  pid: z.int(),
  /** machine, boot and pid namespace: where the pid means this process */
  machine: z.string(),
  /** start time as the kernel tells it, since pids are used again; null where it cannot be told */
  birth: z.string().nullable(),
});
export type ProcessIdentity = z.output<typeof ProcessIdentity>;

export const Git = z.object({ commit: z.string(), branch: z.string(), dirty: z.boolean(), remote: z.string() });
export type Git = z.output<typeof Git>;
export const Environment = z.object({
  program: z.string(),
  node: z.string(),
  platform: z.string(),
  host: z.string(),
  folder: z.string(),
  command: z.string(),
});
export type Environment = z.output<typeof Environment>;
export const Hardware = z.object({
  cpu: z.string(),
  cores: z.int(),
  memoryBytes: z.number(),
  gpus: z.array(z.object({ name: z.string(), memoryBytes: z.number(), driver: z.string() })),
});
export type Hardware = z.output<typeof Hardware>;

/** As written; `crashed` is never written but found by the reader. */
export const WrittenStatus = z.enum(['running', 'finished', 'failed', 'aborted']);
export type WrittenStatus = z.output<typeof WrittenStatus>;
export type Status = WrittenStatus | 'crashed';

export const RunFile = z.object({
  schema: z.literal(SCHEMA_VERSION),
  /** 21 lower-case letters and digits; stays with the run when it is resumed or its folder is moved */
  id: z.string().regex(/^[0-9a-z]{21}$/),
  name: z.string(),
  project: z.string(),
  tags: z.array(z.string()),
  notes: z.string(),
  status: WrittenStatus,
  error: z.string().nullable(),
  createdAt: iso,
  /** start of each process that worked on the run, and the step it went on after */
  sessions: z.array(z.object({ startedAt: iso, step })),
  heartbeat: iso,
  endedAt: iso.nullable(),
  process: ProcessIdentity,
  /** the highest step so far, null before the first */
  step: step.nullable(),
  /** the last value of every metric */
  latest: Values,
  /** what the run came to: set at its end */
  summary: z.record(z.string(), z.unknown()),
  config: z.record(z.string(), z.unknown()),
  git: Git.nullable(),
  environment: Environment,
  hardware: Hardware,
  /** where exporters wrote: name → folder or address */
  exports: z.record(z.string(), z.string()),
});
export type RunFile = z.output<typeof RunFile>;

/** A number for JSON. */
export function toValue(number: number): Value {
  return Number.isFinite(number) ? number : (String(number) as Value);
}

/** The number that a value of a line stands for; undefined for anything else. */
export function fromValue(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  return undefined;
}
