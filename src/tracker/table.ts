// Columns of numbers in memory, one a metric, and what charts are drawn from: points thinned by min and max.

export interface Series {
  readonly key: string;
  readonly steps: number[];
  readonly times: number[];
  /** NaN and ±Infinity stand here as they are; JSON.stringify makes them null */
  readonly values: number[];
  /** points before thinning */
  readonly total: number;
}

interface Column {
  readonly key: string;
  /** index into the table's rows */
  readonly rows: number[];
  readonly values: number[];
}

export class Table {
  private steps: number[] = [];
  private times: number[] = [];
  /** where each row's line begins in its file */
  private bytes: number[] = [];
  private columns = new Map<string, Column>();
  /** columns in the order of the last row: the next one is most likely the same, and needs no look-up */
  private order: Column[] = [];
  private position = 0;

  get length(): number {
    return this.steps.length;
  }

  keys(): string[] {
    return [...this.columns.keys()].sort();
  }

  /** Opens a row; its values follow by `set`. */
  row(step: number, time: number, byte: number): void {
    this.steps.push(step);
    this.times.push(time);
    this.bytes.push(byte);
    this.position = 0;
  }

  set(key: string, value: number): void {
    let column = this.order[this.position];
    if (column?.key !== key) {
      column = this.columns.get(key) ?? { key, rows: [], values: [] };
      this.columns.set(key, column);
      this.order[this.position] = column;
    }
    this.position++;
    column.rows.push(this.steps.length - 1);
    column.values.push(value);
  }

  /** Drops every row after `step`. */
  rewind(step: number): void {
    const kept = Array.from(this.steps.keys()).filter((row) => (this.steps[row] as number) <= step);
    if (kept.length === this.steps.length) return;
    const moved = new Map(kept.map((row, i) => [row, i]));
    const pick = (list: number[]) => kept.map((row) => list[row] as number);
    [this.steps, this.times, this.bytes] = [pick(this.steps), pick(this.times), pick(this.bytes)];
    const old = this.columns;
    this.columns = new Map();
    this.order = [];
    for (const [key, { rows, values }] of old) {
      const column: Column = { key, rows: [], values: [] };
      for (const [i, row] of rows.entries()) {
        const to = moved.get(row);
        if (to === undefined) continue;
        column.rows.push(to);
        column.values.push(values[i] as number);
      }
      if (column.rows.length > 0) this.columns.set(key, column);
    }
  }

  /** The points of one metric whose lines begin at `fromByte` or later, at most about `maxPoints`. */
  series(key: string, maxPoints: number, fromByte: number): Series {
    const { rows, values } = this.columns.get(key) ?? { rows: [], values: [] };
    const first = lowerBound(rows.length, (i) => (this.bytes[rows[i] as number] as number) >= fromByte);
    const picked = thin(values, first, maxPoints);
    return {
      key,
      steps: picked.map((i) => this.steps[rows[i] as number] as number),
      times: picked.map((i) => this.times[rows[i] as number] as number),
      values: picked.map((i) => values[i] as number),
      total: rows.length - first,
    };
  }

  /** Every row with all its values, in order. */
  *rows(): Generator<{ step: number; time: number; values: Record<string, number> }> {
    const cursors = [...this.columns.values()].map((column) => ({ ...column, at: 0 }));
    for (let row = 0; row < this.steps.length; row++) {
      const values: Record<string, number> = Object.create(null);
      for (const cursor of cursors)
        while (cursor.rows[cursor.at] === row) values[cursor.key] = cursor.values[cursor.at++] as number;
      yield { step: this.steps[row] as number, time: this.times[row] as number, values };
    }
  }
}

/** The first i in [0, n) that holds, or n; `holds` must be false, then true. */
function lowerBound(n: number, holds: (i: number) => boolean): number {
  let [low, high] = [0, n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Indexes of values[first…] to draw: all, or of each of maxPoints/2 buckets the least and the greatest, so that a
 * spike never disappears; and the first value that is no finite number, and the last point of all.
 */
export function thin(values: readonly number[], first: number, maxPoints: number): number[] {
  const count = values.length - first;
  if (count <= maxPoints) return Array.from({ length: count }, (_, i) => first + i);
  const buckets = Math.max(1, Math.floor(maxPoints / 2));
  const out: number[] = [];
  for (let bucket = 0; bucket < buckets; bucket++) {
    const from = first + Math.floor((bucket * count) / buckets);
    const to = first + Math.floor(((bucket + 1) * count) / buckets);
    let [low, high, odd] = [-1, -1, -1];
    for (let i = from; i < to; i++) {
      const value = values[i] as number;
      if (!Number.isFinite(value)) {
        if (odd < 0) odd = i;
        continue;
      }
      if (low < 0 || value < (values[low] as number)) low = i;
      if (high < 0 || value > (values[high] as number)) high = i;
    }
    const picked = new Set([low, high, odd].filter((i) => i >= 0));
    if (bucket === buckets - 1) picked.add(values.length - 1);
    out.push(...[...picked].sort((a, b) => a - b));
  }
  return out;
}
