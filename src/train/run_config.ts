// The run configuration: one YAML file, overridable by flags (src/cli/run_flags.ts). All faults are told at once, each with its place,
// its key, what was expected, and for an unknown key the nearest known one.
import { distance } from 'fastest-levenshtein';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { DEVICES, DTYPES } from '../backends/open.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { EXPORTER_NAMES } from '../tracker/exporters/index.ts';

// The description of a key is what an error says was expected.
const count = (fallback: number, least = 1) =>
  z.number().int().min(least).default(fallback).describe(`a whole number, ${least} or more`);
const optionalCount = (least = 1) =>
  z.number().int().min(least).optional().describe(`a whole number, ${least} or more`);
const above0 = (fallback: number) => z.number().positive().default(fallback).describe('a number above 0');
const atLeast0 = (fallback: number) => z.number().min(0).default(fallback).describe('a number, 0 or more');
const below1 = (fallback: number) => z.number().min(0).lt(1).default(fallback).describe('a number from 0 to below 1');
const flag = (fallback: boolean) => z.boolean().default(fallback).describe('true or false');
const path = (what: string) => z.string().min(1).describe(what);
const choice = <const T extends readonly [string, ...string[]]>(names: T, fallback: T[number]) =>
  z
    .enum(names)
    .default(() => fallback as z.infer<z.ZodEnum<{ [K in T[number]]: K }>>)
    .describe(`one of ${names.join(', ')}`);
const beta = z.number().min(0).lt(1);

export const LORA_TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

const TRACKERS = ['local', ...EXPORTER_NAMES] as const;

/** Defaults are the tutorial's settings, mended; recipes/latex-ocr.yaml lists the mends. Paths are relative to the
 * working directory. */
const schema = z.strictObject({
  model: path('the base model: a folder, or modelscope:… or hf:…'),
  data: z
    .strictObject({
      train: path('the conversation JSON to train on'),
      val: path('the conversation JSON to evaluate on').optional().describe('the conversation JSON to evaluate on'),
      /** Decoded and sized images and token ids; beside `train` by default. A limit of 0 keeps none. */
      cache: path('a folder').optional().describe('a folder for processed samples'),
      cache_limit_gb: atLeast0(10),
      /** Where set, it stands in place of the instruction in the conversations. */
      prompt: z.string().min(1).optional().describe('the instruction beside the image, as text'),
    })
    .prefault({} as never),
  image: z
    .strictObject({
      min_pixels: optionalCount(28 * 28),
      max_pixels: optionalCount(28 * 28),
      resized_height: optionalCount(),
      resized_width: optionalCount(),
      /** Pictures are tidied (src/formats/tidy) in training and, by the trained model, at reading. */
      tidy_em: optionalCount(),
    })
    .prefault({}),
  method: choice(['lora', 'full'], 'lora'),
  /** Read when method is lora. */
  lora: z
    .strictObject({
      r: count(64),
      alpha: above0(16),
      dropout: below1(0.05),
      rslora: flag(false),
      target_modules: z
        .array(z.string().min(1))
        .min(1)
        .default(() => [...LORA_TARGETS])
        .describe('a list of module names, such as [q_proj, v_proj]'),
    })
    .prefault({}),
  /** A frozen part gets neither changed weights (full) nor adapters (lora). */
  freeze: z
    .strictObject({ patches: flag(true), vision: flag(true), merger: flag(true), text: flag(false) })
    .prefault({}),
  train: z
    .strictObject({
      epochs: z.number().positive().optional().describe('a number above 0'),
      max_steps: optionalCount(),
      batch_tokens: count(1024),
      row_tokens: count(512),
      accumulate: count(4),
      lr: above0(1e-4),
      weight_decay: atLeast0(0),
      betas: z
        .tuple([beta, beta])
        .default([0.9, 0.999])
        .describe('two numbers from 0 to below 1, such as [0.9, 0.999]'),
      eps: above0(1e-8),
      schedule: choice(['linear', 'cosine', 'constant'], 'linear'),
      warmup_steps: optionalCount(0),
      warmup_ratio: z.number().min(0).lt(1).optional().describe('a number from 0 to below 1'),
      max_grad_norm: above0(1),
      seed: count(42, 0),
      dtype: choice(DTYPES, 'auto'),
      feature_cache: z.number().min(0).optional().describe('GiB, 0 or more'),
      recompute: z
        .union([z.literal('auto'), z.boolean()])
        .default('auto')
        .describe('auto, true or false'),
      memory_limit: z.number().positive().optional().describe('GiB of the card, above 0'),
    })
    .prefault({}),
  eval: z
    .strictObject({
      every_steps: count(50),
      count: count(64),
      max_new_tokens: count(512),
      metric: choice(['edit_distance', 'exact_match', 'loss'], 'edit_distance'),
      early_stopping_patience: optionalCount(),
    })
    .prefault({}),
  save: z.strictObject({ every_steps: count(100), keep: count(3) }).prefault({}),
  /** The run is always recorded in the output folder. */
  track: z
    .strictObject({
      to: z
        .array(z.enum(TRACKERS))
        .default(() => ['local' as const])
        .describe(`a list out of ${TRACKERS.join(', ')}`),
      project: z.string().min(1).default('texlens').describe('a text'),
      name: z.string().min(1).optional().describe('a text'),
      tags: z
        .array(z.string().min(1))
        .default(() => [])
        .describe('a list of texts, such as [baseline]'),
      notes: z.string().default('').describe('a text'),
      system_seconds: atLeast0(10),
    })
    .prefault({}),
  output: path('the folder to write the run to'),
  device: choice(DEVICES, 'auto'),
});

export type RunConfig = z.output<typeof schema>;

/** Key paths with dots → values, from the flags; they win over the file. */
export type Overrides = Readonly<Record<string, unknown>>;

type Section = Record<string, unknown>;
interface Fault {
  key: string;
  message: string;
}

const SECTIONS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(schema.shape).flatMap(([name, part]) =>
    part instanceof z.ZodPrefault ? [[name, Object.keys((part.unwrap() as z.ZodObject).shape)] as const] : [],
  ),
);
const KEYS: readonly string[] = Object.keys(schema.shape).flatMap(
  (name) => SECTIONS.get(name)?.map((key) => `${name}.${key}`) ?? [name],
);
/** Keys whose value is text as it stands, never read as YAML. */
export const TEXT_KEYS: ReadonlySet<string> = new Set([
  ...['model', 'data.train', 'data.val', 'data.cache', 'data.prompt', 'output'],
  ...['track.project', 'track.name', 'track.notes'],
]);

/** Keys of which one group only may be set; in `--set`, one group replaces the others of the file. */
const EXCLUSIVE: readonly (readonly (readonly string[])[])[] = [
  [['train.epochs'], ['train.max_steps']],
  [['train.warmup_steps'], ['train.warmup_ratio']],
  [
    ['image.min_pixels', 'image.max_pixels'],
    ['image.resized_height', 'image.resized_width'],
  ],
];

/** Reads a configuration and the flags over it; throws one InputError that lists every fault. */
export function parseRunConfig(yamlText: string, file: string, overrides: Overrides = {}): RunConfig {
  const lines = new LineCounter();
  const document = parseDocument(yamlText, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    const told = document.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return `  ${file}:${line}:${col}: ${error.message}`;
    });
    throw new InputError(`${file} is not valid YAML:\n${told.join('\n')}`);
  }
  let raw: unknown;
  try {
    raw = document.toJS() ?? {};
  } catch (error) {
    // Aliases that multiply without end.
    throw new InputError(`${file} cannot be read as a configuration: ${messageOf(error)}`);
  }
  if (!isSection(raw)) throw new InputError(`${file}: expected keys and values, such as "model: models/base"`);

  const faults: Fault[] = [];
  const merged = merge(raw, overrides, faults);
  const parsed = schema.safeParse(merged);
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap((issue) => issueFaults(issue, merged)));
  faults.push(...crossFaults(merged));
  if (faults.length > 0 || !parsed.success) {
    const told = faults.map(({ key, message }) => {
      const offset = Object.hasOwn(overrides, key) ? undefined : keyOffset(document.contents, key.split('.'));
      const place = Object.hasOwn(overrides, key)
        ? 'command line'
        : offset === undefined
          ? file
          : `${file}:${lines.linePos(offset).line}`;
      return `  ${place}: ${key}: ${message}`;
    });
    const title = `${faults.length} fault${faults.length === 1 ? '' : 's'} in the run configuration:`;
    throw new InputError([title, ...told].join('\n'));
  }
  return withExclusiveDefaults(parsed.data);
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The file with the flags over it. Sections left blank in the file count as empty. */
function merge(raw: Section, overrides: Overrides, faults: Fault[]): Section {
  const merged: Section = {};
  for (const [name, value] of Object.entries(raw)) {
    const blank = value === null && SECTIONS.has(name);
    merged[name] = blank ? {} : isSection(value) ? { ...value } : value;
  }
  for (const key of Object.keys(overrides)) {
    for (const groups of EXCLUSIVE) {
      const chosen = groups.find((group) => group.includes(key));
      if (chosen) for (const group of groups) if (group !== chosen) for (const other of group) remove(merged, other);
    }
  }
  for (const [key, value] of Object.entries(overrides)) {
    if (!KEYS.includes(key)) {
      faults.push({ key, message: SECTIONS.has(key) ? `is a section: set one of ${keysOf(key)}` : unknownKey(key) });
      continue;
    }
    const [first = '', second] = key.split('.');
    if (second === undefined) merged[first] = value;
    else {
      if (merged[first] === undefined) merged[first] = {};
      const section = merged[first];
      if (isSection(section)) section[second] = value;
    }
  }
  return merged;
}

function remove(merged: Section, key: string): void {
  const [first = '', second = ''] = key.split('.');
  const section = merged[first];
  if (isSection(section)) delete section[second];
}

function keysOf(section: string): string {
  return (SECTIONS.get(section) ?? []).map((key) => `${section}.${key}`).join(', ');
}

/** What other trainers call some keys; names to recognise, not to accept. */
const ELSEWHERE: readonly (readonly [name: string, key: string])[] = [
  ['learning_rate', 'train.lr'],
  ['num_train_epochs', 'train.epochs'],
  ['gradient_accumulation_steps', 'train.accumulate'],
  ['per_device_train_batch_size', 'train.batch_tokens'],
  ['batch_size', 'train.batch_tokens'],
  ['max_length', 'train.row_tokens'],
  ['rank', 'lora.r'],
  ['save_total_limit', 'save.keep'],
  ['output_dir', 'output'],
];

/** What to say of a key nobody knows: the nearest known one, in its own section or, at a price, elsewhere. */
function unknownKey(key: string): string {
  const cut = key.lastIndexOf('.');
  const [section, leaf] = [key.slice(0, Math.max(0, cut)), key.slice(cut + 1)];
  const names = [...SECTIONS.keys(), ...KEYS].map((known) => [known.slice(known.indexOf('.') + 1), known] as const);
  let nearest = '';
  let least = Number.POSITIVE_INFINITY;
  for (const [name, known] of [...names, ...ELSEWHERE]) {
    const price = section === '' || known.startsWith(`${section}.`) ? 0 : 2;
    const far = Math.min(distance(leaf, name) + price, distance(key, known));
    if (far < least) [nearest, least] = [known, far];
  }
  return `unknown key; the nearest known one is ${nearest}`;
}

function valueAt(root: unknown, keys: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of keys) value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return value;
}

function issueFaults(issue: z.core.$ZodIssue, merged: Section): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => {
      const key = [...issue.path, name].join('.');
      return { key, message: unknownKey(key) };
    });
  }
  // An element of a list is told as its list.
  const keys = issue.path.slice(0, SECTIONS.has(String(issue.path[0])) ? 2 : 1).map(String);
  const value = valueAt(merged, issue.path);
  const section = keys.length === 1 && SECTIONS.has(keys[0]!);
  const expected = section ? `keys and values (${keysOf(keys[0]!)})` : expectedAt(keys);
  const got = value === undefined ? 'nothing' : JSON.stringify(value);
  const where = issue.path.length > keys.length ? ` at position ${Number(issue.path.at(-1)) + 1}` : '';
  return [{ key: keys.join('.'), message: `expected ${expected}, got ${got}${where}` }];
}

function expectedAt(keys: readonly string[]): string {
  const shape: Record<string, z.core.$ZodType> = schema.shape;
  let part = shape[keys[0]!];
  if (part instanceof z.ZodPrefault) part = (part.unwrap() as z.ZodObject).shape[keys[1] ?? ''];
  return (part instanceof z.ZodType ? part.description : undefined) ?? 'another value';
}

/** Faults between keys; written to say nothing where a key by itself is already at fault. */
function crossFaults(merged: Section): Fault[] {
  const faults: Fault[] = [];
  const get = (key: string): unknown => valueAt(merged, key.split('.'));
  const number = (key: string, fallback: number): number => {
    const value = get(key) ?? fallback;
    return typeof value === 'number' ? value : Number.NaN;
  };
  for (const groups of EXCLUSIVE) {
    const given = groups.map((group) => group.filter((key) => get(key) !== undefined)).filter((list) => list.length);
    if (given.length > 1) {
      const [kept, dropped] = [given[0]!.join(' and '), given[1]!.join(' and ')];
      faults.push({ key: given[1]![0]!, message: `expected either ${kept} or ${dropped}, got both: leave one out` });
    }
  }
  const height = get('image.resized_height') !== undefined;
  const width = get('image.resized_width') !== undefined;
  if (height !== width) {
    const [given, missing] = height ? ['resized_height', 'resized_width'] : ['resized_width', 'resized_height'];
    faults.push({ key: `image.${given}`, message: `expected image.${missing} beside it, got nothing` });
  }
  const [least, most] = [number('image.min_pixels', 0), number('image.max_pixels', Number.POSITIVE_INFINITY)];
  if (least > most) {
    faults.push({ key: 'image.max_pixels', message: `expected at least min_pixels (${least}), got ${most}` });
  }
  const [batch, row] = [number('train.batch_tokens', 1024), number('train.row_tokens', 512)];
  if (batch < row) {
    const key = get('train.batch_tokens') === undefined ? 'train.row_tokens' : 'train.batch_tokens';
    faults.push({ key, message: `expected batch_tokens of at least row_tokens, got ${batch} and ${row}` });
  }
  const frozen = ['patches', 'vision', 'merger'].every((part) => (get(`freeze.${part}`) ?? true) === true);
  if (frozen && get('freeze.text') === true) {
    faults.push({ key: 'freeze.text', message: 'expected one part that is not frozen: nothing would train' });
  }
  if (get('eval.early_stopping_patience') !== undefined && get('data.val') === undefined) {
    faults.push({ key: 'eval.early_stopping_patience', message: 'expected data.val beside it, got nothing' });
  }
  return faults;
}

/** Fills in the one of each exclusive pair that nothing was said about. */
function withExclusiveDefaults(config: RunConfig): RunConfig {
  const { image, train } = config;
  const { min_pixels: least, max_pixels: most } = image;
  return {
    ...config,
    image:
      image.resized_height !== undefined
        ? image
        : {
            ...image,
            min_pixels: least ?? Math.min(28_224, most ?? 28_224),
            max_pixels: most ?? Math.max(56_448, least ?? 0),
          },
    train: {
      ...train,
      epochs: train.max_steps === undefined ? (train.epochs ?? 2) : undefined,
      warmup_steps: train.warmup_ratio === undefined ? (train.warmup_steps ?? 0) : undefined,
    },
  };
}

/** Where a key stands in the file, or the nearest thing around it that does. */
function keyOffset(node: unknown, keys: readonly string[]): number | undefined {
  const [first, ...rest] = keys;
  if (!isMap(node) || first === undefined) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === first);
  if (!pair || !isScalar(pair.key)) return undefined;
  return keyOffset(pair.value, rest) ?? pair.key.range?.[0];
}
