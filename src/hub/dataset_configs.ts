// Which files make up the subsets and splits of a data set: as the YAML at the head of its README says, else by names.
import picomatch from 'picomatch';
import { parse } from 'yaml';
import { z } from 'zod';
import { InputError, messageOf, RunError } from '../shared/errors.ts';

export interface DatasetConfig {
  /** The subset's name. */
  readonly name: string;
  readonly isDefault: boolean;
  readonly splits: readonly DatasetSplit[];
}

export interface DatasetSplit {
  readonly name: string;
  /** Globs over the repository's paths. */
  readonly patterns: readonly string[];
}

const texts = z.union([z.string().transform((text) => [text]), z.array(z.string())]);
const dataFiles = z.union([texts, z.array(z.object({ split: z.string().default('train'), path: texts }))]);
const configName = z.union([z.string(), z.number().transform(String)]);
const entry = z.object({
  config_name: configName.optional(),
  /** ModelScope's other word for it. */
  subset_name: configName.optional(),
  default: z.boolean().default(false),
  data_files: dataFiles.optional(),
  data_dir: z.string().optional(),
});
const info = z.object({
  config_name: configName.optional(),
  splits: z.array(z.object({ name: z.string(), num_examples: z.number().optional() })).default([]),
});
const infos = z.union([info.transform((one) => [one]), z.array(info)]);
const head = z.object({
  /** What the hub counted; a README that has it in another form is as good as one without. */
  dataset_info: infos.nullish().catch(undefined),
  configs: z.union([entry.transform((one) => [one]), z.array(entry)]).nullish(),
});

/** The subsets of a repository; `readme` is undefined where there is none. */
export function datasetConfigs(name: string, readme: string | undefined, paths: readonly string[]): DatasetConfig[] {
  const told = readmeHead(name, readme).configs ?? [];
  if (told.length > 0) {
    const titles = told.map((config, i) => config.config_name ?? config.subset_name ?? (i === 0 ? 'default' : `${i}`));
    const marked = told.findIndex((config) => config.default);
    const standard = marked >= 0 ? marked : Math.max(0, titles.indexOf('default'));
    return told.map((config, i) => {
      const dir = config.data_dir?.replace(/^\.\/|\/$/g, '');
      return { name: titles[i]!, isDefault: i === standard, splits: splitsOf(config.data_files, dir, paths) };
    });
  }
  return configsByNames(paths);
}

/** How many rows the README says that a split of a subset has. */
export function declaredRows(
  name: string,
  readme: string | undefined,
  subset: string,
  split: string | undefined,
): number | undefined {
  const told = readmeHead(name, readme).dataset_info ?? [];
  const own = told.find((one) => one.config_name === subset) ?? (told.length === 1 ? told[0] : undefined);
  if (own === undefined || (own.config_name !== undefined && own.config_name !== subset)) return undefined;
  return own.splits.find((one) => plainSplit(one.name) === plainSplit(split ?? ''))?.num_examples;
}

function readmeHead(name: string, readme = ''): z.output<typeof head> {
  const text = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\s*(\r?\n|$)/.exec(readme)?.[1];
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new RunError(`README.md of ${name}: its head is not valid YAML (${messageOf(error)}).`);
  }
  const parsed = head.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new RunError(`README.md of ${name}: ${issue.path.join('.')} is not as expected: ${issue.message}.`);
}

function splitsOf(files: z.output<typeof dataFiles> | undefined, dir: string | undefined, paths: readonly string[]) {
  if (files === undefined) {
    const inside = dataPaths(paths).filter((path) => dir === undefined || path.startsWith(`${dir}/`));
    return splitsByNames(inside, dir);
  }
  const under = (pattern: string): string => (dir === undefined ? pattern : `${dir}/${pattern}`).replace(/^\.\//, '');
  const splits = new Map<string, string[]>();
  for (const item of files) {
    const { split, path } = typeof item === 'string' ? { split: 'train', path: [item] } : item;
    splits.set(split, [...(splits.get(split) ?? []), ...path.map(under)]);
  }
  return [...splits].map(([name, patterns]) => ({ name, patterns }));
}

/** Without a word in the README: a folder of data files that is named for no split is a subset. */
function configsByNames(paths: readonly string[]): DatasetConfig[] {
  const data = dataPaths(paths);
  const folders = new Set(data.map((path) => path.split('/').slice(0, -1).join('/')));
  const subsets = [...folders].filter((folder) => folder !== '' && folder !== 'data' && splitOf(folder) === undefined);
  if (subsets.length < 2) return [{ name: 'default', isDefault: true, splits: splitsByNames(data) }];
  return subsets.map((name) => ({
    name,
    isDefault: false,
    splits: splitsByNames(
      data.filter((path) => path.startsWith(`${name}/`)),
      name,
    ),
  }));
}

const FORMATS = [/\.parquet$/, /\.(jsonl|csv|tsv)$/, /\.json$/];

/** The data files of a repository: those of the first format that it has any of. */
function dataPaths(paths: readonly string[]): string[] {
  for (const format of FORMATS) {
    const found = paths.filter((path) => format.test(path) && !/(^|\/)(dataset_infos?|\.)[^/]*$/.test(path));
    if (found.length > 0) return found;
  }
  return [];
}

const SPLIT_WORDS: readonly (readonly [split: string, words: RegExp])[] = [
  ['train', /(^|[-_ ./])(train|training)(?=$|[-_ ./\d])/],
  ['validation', /(^|[-_ ./])(validation|valid|val|dev)(?=$|[-_ ./\d])/],
  ['test', /(^|[-_ ./])(test|testing|eval|evaluation)(?=$|[-_ ./\d])/],
];

function splitOf(path: string): string | undefined {
  return SPLIT_WORDS.find(([, words]) => words.test(path.toLowerCase()))?.[0];
}

function splitsByNames(paths: readonly string[], dir = ''): DatasetSplit[] {
  const splits = new Map<string, string[]>();
  for (const path of paths) {
    const split = splitOf(path.slice(dir.length)) ?? 'train';
    splits.set(split, [...(splits.get(split) ?? []), picomatchEscape(path)]);
  }
  return [...splits].map(([name, patterns]) => ({ name, patterns }));
}

function picomatchEscape(path: string): string {
  return path.replace(/[\\*?[\]{}()!+@]/g, '\\$&');
}

/** The subset asked for, or the one that stands for the whole. */
export function chooseConfig(
  name: string,
  configs: readonly DatasetConfig[],
  subset: string | undefined,
): DatasetConfig {
  const found = configs.find((config) => (subset === undefined ? config.isDefault : config.name === subset));
  if (found !== undefined) return found;
  const asked = subset === undefined ? 'says nothing of which subset stands for the whole' : `has no subset ${subset}`;
  throw new InputError(`${name}: ${asked}; choose one of ${configs.map((config) => config.name).join(', ')}.`);
}

const SAME: Readonly<Record<string, string>> = { val: 'validation', valid: 'validation', dev: 'validation' };
const plainSplit = (name: string): string => SAME[name] ?? name;

/** Paths and their splits; an error names a pattern that no file matches. */
export function filesOfConfig(
  name: string,
  config: DatasetConfig,
  split: string | undefined,
  paths: readonly string[],
): { path: string; split: string }[] {
  const { splits } = config;
  const exact = splits.filter((one) => one.name === split);
  const chosen =
    split === undefined
      ? splits
      : exact.length > 0
        ? exact
        : splits.filter((one) => plainSplit(one.name) === plainSplit(split));
  if (chosen.length === 0) {
    const names = splits.map((one) => one.name).join(', ') || 'none: it holds no parquet, JSON or CSV files';
    throw new InputError(`${name}: subset ${config.name} has no split ${split ?? ''}; expected one of ${names}.`);
  }
  return chosen.flatMap(({ name: splitName, patterns }) => {
    const found = new Set<string>();
    for (const pattern of patterns) {
      const matches = [pattern, `${pattern.replace(/\/$/, '')}/**`]
        .map((glob) => paths.filter((path) => picomatch.isMatch(path, glob)))
        .find((list) => list.length > 0);
      if (matches === undefined)
        throw new RunError(`${name}: subset ${config.name}, split ${splitName}: no file matches ${pattern}.`);
      for (const path of matches) found.add(path);
    }
    return [...found].sort().map((path) => ({ path, split: splitName }));
  });
}
