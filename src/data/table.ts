// Labels files as tables: CSV, TSV and JSON lines → rows of text cells with their line numbers.
import { parse } from 'csv-parse/sync';
import { InputError, messageOf } from '../shared/errors.ts';

export interface TableRow {
  readonly cells: ReadonlyMap<string, string>;
  /** the line of the file where the row ends, from 1 */
  readonly line: number;
}

export interface Table {
  readonly names: readonly string[];
  readonly rows: readonly TableRow[];
}

/** Reads a table by the file's ending: .tsv, .jsonl, or else CSV. */
export function readTable(file: string, text: string): Table {
  return /\.jsonl$/i.test(file) ? jsonLines(file, text) : delimited(file, text, /\.tsv$/i.test(file));
}

interface ParsedRow {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

function delimited(file: string, text: string, tabs: boolean): Table {
  let parsed: ParsedRow[];
  try {
    parsed = parse(text, {
      bom: true,
      info: true,
      skip_empty_lines: true,
      delimiter: tabs ? '\t' : ',',
      // LaTeX in tab-separated files is not quoted as a rule, and may hold quotes.
      quote: tabs ? null : '"',
    }) as unknown as ParsedRow[];
  } catch (error) {
    const line = error instanceof Error && 'lines' in error ? `:${String(error.lines)}` : '';
    throw new InputError(
      `${file}${line}: broken table (${messageOf(error)}). Cells that hold commas or quotes must be quoted.`,
    );
  }
  const names = (parsed[0]?.record ?? []).map((name) => name.trim());
  const rows = parsed.slice(1).map(({ record, info }) => ({
    cells: new Map(names.map((name, i) => [name, record[i] ?? ''])),
    line: info.lines,
  }));
  return { names, rows };
}

function jsonLines(file: string, text: string): Table {
  const names = new Set<string>();
  const rows: TableRow[] = [];
  for (const [i, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new InputError(`${file}:${i + 1}: broken JSON (${messageOf(error)}); expected one object on each line.`);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new InputError(`${file}:${i + 1}: expected an object such as {"image": "a.png", "latex": "x"}.`);
    }
    const cells = new Map<string, string>();
    for (const [name, cell] of Object.entries(value as Record<string, unknown>)) {
      names.add(name);
      if (typeof cell === 'string' || typeof cell === 'number') cells.set(name, String(cell));
    }
    rows.push({ cells, line: i + 1 });
  }
  return { names: [...names], rows };
}
