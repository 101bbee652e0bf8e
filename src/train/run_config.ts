// The run configuration: one YAML file, overridable by flags (src/cli/run_flags.ts). All faults are told at once, each with its place,
// its key, what was expected, and for an unknown key the nearest known one.
import { distance } from 'fastest-levenshtein';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { InputError, messageOf } from '../shared/errors.ts';
import { type RunConfig, schema } from './run_schema.ts';

/** Key paths with dots → values, from the flags; they win over the file. */
export type Overrides = Readonly<Record<string, unknown>>;

type Section = Record<string, unknown>;
interface Fault {
  key: string;
  message: string;
}

/** The keys that a part of the schema holds, or null for a plain value. */
function fieldsOf(part: z.core.$ZodType | undefined): Record<string, z.core.$ZodType> | null {
  let inner = part;
  while (inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional) inner = inner.unwrap() as z.core.$ZodType;
  return inner instanceof z.ZodObject ? inner.shape : null;
}

/** Sections by their path with dots, and the paths of all keys that are none. */
const SECTIONS = new Map<string, readonly string[]>();
const KEYS: string[] = [];
function list(fields: Record<string, z.core.$ZodType>, prefix: string): void {
  for (const [name, part] of Object.entries(fields)) {
    const inner = fieldsOf(part);
    if (inner === null) KEYS.push(prefix + name);
    else {
      SECTIONS.set(prefix + name, Object.keys(inner));
      list(inner, `${prefix}${name}.`);
    }
  }
}
list(schema.shape, '');

/** Keys whose value is text as it stands, never read as YAML. */
export const TEXT_KEYS: ReadonlySet<string> = new Set([
  ...['model', 'data.train', 'data.val', 'data.cache', 'data.prompt', 'output'],
  ...['track.project', 'track.name', 'track.notes'],
]);

/** Keys of which one group only may be set; in `--set`, one group replaces the others of the file. */
const EXCLUSIVE: readonly (readonly (readonly string[])[])[] = [
  [['data.train'], ['data.draw']],
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
    const names = key.split('.');
    const leaf = names.pop()!;
    let section: unknown = merged;
    for (const name of names) {
      if (!isSection(section)) break;
      section[name] ??= {};
      section = section[name];
    }
    if (isSection(section)) section[leaf] = value;
  }
  return merged;
}

function remove(merged: Section, key: string): void {
  const names = key.split('.');
  const leaf = names.pop()!;
  const section = valueAt(merged, names);
  if (isSection(section)) delete section[leaf];
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
  const names = [...SECTIONS.keys(), ...KEYS].map((known) => [known.slice(known.lastIndexOf('.') + 1), known] as const);
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
  const element = issue.path.findIndex((name) => typeof name === 'number');
  const keys = issue.path.slice(0, element < 0 ? undefined : element).map(String);
  const value = valueAt(merged, issue.path);
  const key = keys.join('.');
  const expected = SECTIONS.has(key) ? `keys and values (${keysOf(key)})` : expectedAt(keys);
  const got = value === undefined ? 'nothing' : JSON.stringify(value);
  const where = issue.path.length > keys.length ? ` at position ${Number(issue.path.at(-1)) + 1}` : '';
  return [{ key, message: `expected ${expected}, got ${got}${where}` }];
}

function expectedAt(keys: readonly string[]): string {
  let part: z.core.$ZodType | undefined = schema;
  for (const key of keys) part = fieldsOf(part)?.[key];
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
  const drawn = get('data.draw') !== undefined;
  if (!drawn && get('data.train') === undefined && isSection(merged.data ?? {})) {
    faults.push({
      key: 'data.train',
      message: 'expected the conversation JSON to train on, or data.draw, got nothing',
    });
  }
  if (drawn && get('train.max_steps') === undefined) {
    faults.push({ key: 'train.max_steps', message: 'expected it beside data.draw, which has no end; got nothing' });
  }
  if (drawn && get('train.feature_cache') !== undefined) {
    faults.push({ key: 'train.feature_cache', message: 'expected none beside data.draw: no image comes twice' });
  }
  for (const key of ['data.draw.grammar', 'data.draw.varied'] as const)
    if (get(key) !== undefined && get('data.draw.formulas') === undefined)
      faults.push({ key, message: 'expected data.draw.formulas, which it is a share beside or of; got nothing' });
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

/** Fills in the one of each exclusive pair that nothing was said about; those of `image` depend on the base. */
function withExclusiveDefaults(config: RunConfig): RunConfig {
  const { train } = config;
  return {
    ...config,
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
