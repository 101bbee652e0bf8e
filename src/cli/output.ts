// What commands print: results as one JSON object, the last line on stdout (`--json`); tables for people on stderr.
import type { Command } from 'commander';
import { say } from '../shared/log.ts';

/** Gives a command the `--json` flag, worded the same everywhere. */
export function withJsonOption(command: Command): Command {
  return command.option('--json', 'print the result as one JSON object, the last line on stdout');
}

/** One JSON value on one line of stdout; call it once, last. Numbers that JSON lacks (NaN, Infinity) become null. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export interface TableOptions {
  head?: readonly string[];
  /** Columns (from 0) to set flush right, numbers as a rule. */
  right?: readonly number[];
}

export type Cell = string | number | boolean | undefined;

/** Aligned text columns, two spaces apart, without trailing spaces. */
export function formatTable(rows: readonly (readonly Cell[])[], options: TableOptions = {}): string {
  const body = rows.map((row) => row.map((cell) => (cell === undefined ? '' : String(cell))));
  const lines = options.head ? [[...options.head], ...body] : body;
  const widths: number[] = [];
  for (const line of lines) {
    for (const [column, cell] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, textWidth(cell));
  }
  if (options.head) lines.splice(1, 0, [...widths.map((width) => '-'.repeat(width))]);
  const right = new Set(options.right);
  return lines
    .map((line) =>
      line
        .map((cell, column) => {
          const gap = ' '.repeat(widths[column]! - textWidth(cell));
          return right.has(column) ? gap + cell : cell + gap;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The table on stderr. */
export function sayTable(rows: readonly (readonly Cell[])[], options: TableOptions = {}): void {
  if (rows.length > 0) say(formatTable(rows, options));
}

/** Text of others (runs, data, models) for a terminal: without the controls that could move its cursor or worse. */
export const clean = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ');

const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff01-\uff60]/u;

/** Terminal columns: East Asian characters take two. */
function textWidth(text: string): number {
  let width = 0;
  for (const char of text) width += WIDE.test(char) ? 2 : 1;
  return width;
}
