// Lists of labels: read from text, CSV or JSON lines, brought to the canonical spelling on worker threads, and chosen
// from: what is too long, rare, twice there or held out.
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { text as textOf } from 'node:stream/consumers';
import { inOrder } from '../data/pipeline.ts';
import { readTable } from '../data/table.ts';
import { openThreads } from '../data/threads.ts';
import canonicalShare, { type CanonicalLabel, LABEL_FAULTS } from '../eval/canonical_label.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { bar } from '../shared/log.ts';
import { Random } from '../shared/random.ts';

/** Columns that hold labels, where none is named. */
const TEXT_COLUMNS = ['latex', 'text', 'label', 'formula'];

/** The labels of a file, or of stdin where it is `-`: one a line, or a column of a table. */
export async function readLabels(file: string, column?: string): Promise<string[]> {
  let text: string;
  try {
    text = file === '-' ? await textOf(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${messageOf(error)}); expected a list of formulas.`);
  }
  if (!/\.(csv|tsv|jsonl)$/i.test(file)) return text.replace(/^\uFEFF|\r?\n$/g, '').split(/\r?\n/);
  const { names, rows } = readTable(file, text);
  const name = column ?? TEXT_COLUMNS.find((known) => names.includes(known));
  if (name === undefined || !names.includes(name))
    throw new InputError(
      `${file}: expected a column ${column ?? TEXT_COLUMNS.join(', ')}, found ${names.join(', ') || 'none'}; name it with --text-column.`,
    );
  return rows.map(({ cells }) => cells.get(name) ?? '');
}

const SHARE = 500;

/** Every label in the canonical spelling, in order. */
export async function canonicalLabels(
  labels: readonly string[],
  workers = availableParallelism(),
): Promise<CanonicalLabel[]> {
  if (labels.length === 0) return [];
  const wanted = Math.min(workers, Math.ceil(labels.length / SHARE));
  const threads = await openThreads<readonly string[], CanonicalLabel[]>(
    import.meta.url,
    '../eval/canonical_label',
    wanted > 1 ? wanted : 0,
    async () => ({ default: canonicalShare }),
  );
  const done: CanonicalLabel[] = [];
  const progress = bar('canonical spelling', labels.length);
  try {
    for await (const share of inOrder(shares(labels), (share) => threads.run(share), 2 * threads.count)) {
      for (const label of share) done.push(label);
      progress.update(done.length);
    }
  } finally {
    progress.stop();
    await threads.close();
  }
  return done;
}

async function* shares(labels: readonly string[]): AsyncGenerator<readonly string[]> {
  for (let i = 0; i < labels.length; i += SHARE) yield labels.slice(i, i + SHARE);
}

export interface Choice {
  /** canonical tokens, at most */
  readonly maxTokens: number;
  /** formulas of the whole list that must have each of its tokens; asked of formulas that are not held out */
  readonly minCount: number;
  readonly unique: boolean;
  /** formulas to leave out, whatever their spaces and the stop at their end: a test set's */
  readonly without: readonly CanonicalLabel[];
  /** formulas to hold out */
  readonly heldOut: number;
  readonly seed: number;
}

export interface Chosen {
  readonly kept: readonly string[];
  readonly heldOut: readonly string[];
  /** what is in neither, by reason, with the first one of each */
  readonly dropped: ReadonlyMap<string, { count: number; readonly first: string }>;
}

const SPACES = new Set(['~', '\\,', '\\:', '\\;', '\\!', '\\quad', '\\qquad']);

/** What of a formula stays when spaces and the stop at its end go. */
function bare(text: string): string {
  const tokens = text.split(' ').filter((token) => !SPACES.has(token));
  return tokens.slice(0, /^[.,;]$/.test(tokens.at(-1) ?? '') ? -1 : undefined).join(' ');
}

/** Chooses from labels; `sources` are their original spellings. */
export function choose(labels: readonly CanonicalLabel[], sources: readonly string[], choice: Choice): Chosen {
  const dropped = new Map<string, { count: number; readonly first: string }>();
  const drop = (reason: string, example: string): void => {
    const entry = dropped.get(reason) ?? { count: 0, first: example };
    entry.count++;
    dropped.set(reason, entry);
  };
  const fit: string[] = [];
  const without = new Set(choice.without.flatMap((label) => ('text' in label ? [bare(label.text)] : [])));
  const holders = new Map<string, number>();
  for (const [i, label] of labels.entries()) {
    if ('fault' in label) {
      drop(LABEL_FAULTS[label.fault], sources[i] as string);
      continue;
    }
    const tokens = label.text.split(' ');
    for (const token of new Set(tokens)) holders.set(token, (holders.get(token) ?? 0) + 1);
    if (tokens.length > choice.maxTokens) drop(`more than ${choice.maxTokens} tokens`, label.text);
    else if (without.has(bare(label.text))) drop('in a list of --without', label.text);
    else fit.push(label.text);
  }
  const heldOut = Random.from(choice.seed)
    .shuffled([...new Set(fit)])
    .slice(0, choice.heldOut);
  const seen = new Set<string>();
  const isHeldOut = new Set(heldOut);
  const kept = fit.filter((text) => {
    const rare = text.split(' ').find((token) => (holders.get(token) ?? 0) < choice.minCount);
    const reason = isHeldOut.has(text)
      ? seen.has(text) && 'held out, again'
      : rare !== undefined
        ? `a token that fewer than ${choice.minCount} formulas have`
        : choice.unique && seen.has(text) && 'there before';
    seen.add(text);
    if (reason !== false) drop(reason, rare === undefined ? text : `${rare} in ${text}`);
    return reason === false && !isHeldOut.has(text);
  });
  return { kept, heldOut, dropped };
}
