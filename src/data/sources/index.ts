// Every source by its name, one line each; the key is the file's name in this folder. `takes` lists the options that
// mean something to it: others are refused, not ignored.
import { InputError } from '../../shared/errors.ts';
import type { OpenSource, Source, SourceOptions } from '../source.ts';

interface SourceEntry {
  /** as it is written after --source */
  readonly form: string;
  readonly summary: string;
  readonly takes: readonly (keyof SourceOptions)[];
  readonly load: () => Promise<{ open: OpenSource }>;
}

const COLUMNS = ['imageColumn', 'textColumn'] as const;
const HUB = [...COLUMNS, 'subset', 'split'] as const;

export const SOURCES: Readonly<Record<string, SourceEntry>> = {
  synthetic: {
    form: 'synthetic',
    summary: 'formulas from a seeded grammar or from --formulas, printed or handwritten',
    takes: ['count', 'seed', 'level', 'style', 'formulas', 'grammar'],
    load: () => import('./synthetic.ts'),
  },
  folder: {
    form: 'folder:PATH',
    summary: 'images with a labels file (CSV, TSV, JSONL) beside them',
    takes: COLUMNS,
    load: () => import('./folder.ts'),
  },
  parquet: {
    form: 'parquet:PATH|GLOB',
    summary: 'Parquet files with an image and a text column',
    takes: COLUMNS,
    load: () => import('./parquet.ts'),
  },
  archive: {
    form: 'archive:FILE',
    summary: 'a .zip, .tar or .tar.gz of images and a labels file',
    takes: COLUMNS,
    load: () => import('./archive.ts'),
  },
  jsonl: {
    form: 'jsonl:FILE',
    summary: 'conversations (ShareGPT, OpenAI, ms-swift, this tool) or plain objects, one a line',
    takes: COLUMNS,
    load: () => import('./jsonl.ts'),
  },
  json: {
    form: 'json:FILE',
    summary: 'the same as one JSON array',
    takes: COLUMNS,
    load: () => import('./json.ts'),
  },
  modelscope: {
    form: 'modelscope:OWNER/NAME',
    summary: 'a data set of ModelScope (@REVISION may follow), downloaded once',
    takes: HUB,
    load: () => import('./modelscope.ts'),
  },
  hf: {
    form: 'hf:OWNER/NAME',
    summary: 'a data set of Hugging Face (@REVISION may follow), downloaded once',
    takes: HUB,
    load: () => import('./hf.ts'),
  },
};

/** Opens a source such as `folder:scans`. */
export async function openSource(name: string, path: string, options: SourceOptions): Promise<Source> {
  const entry = SOURCES[name];
  if (entry === undefined) throw new InputError(`--source ${name}: unknown; expected one of ${forms()}.`);
  if (path === '' && entry.form.includes(':'))
    throw new InputError(`--source ${name}: expected ${entry.form}, got nothing after the name.`);
  if (path !== '' && !entry.form.includes(':'))
    throw new InputError(`--source ${name}:${path}: expected ${entry.form} alone.`);
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || entry.takes.includes(option as keyof SourceOptions)) continue;
    const flag = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new InputError(`--${flag}: means nothing to the source ${name}; leave it out.`);
  }
  return (await entry.load()).open(path, options);
}

function forms(): string {
  return Object.values(SOURCES)
    .map(({ form }) => form)
    .join(', ');
}
