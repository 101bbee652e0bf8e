// Connected parts of ink (eight neighbours), by runs along the rows.
import type { Grey } from './grey.ts';

export interface Component {
  left: number;
  top: number;
  /** exclusive, as bottom */
  right: number;
  bottom: number;
  /** pixels of ink, and the runs that they lie in */
  area: number;
  runs: number;
}

/** The parts of what is darker than `level`, in the order of their uppermost runs. */
export function components({ width, height, data }: Grey, level: number): Component[] {
  const parent: number[] = [];
  const root = (run: number): number => {
    let r = run;
    while (parent[r] !== r) {
      parent[r] = parent[parent[r]!]!;
      r = parent[r]!;
    }
    return r;
  };
  // starts, ends and rows of all runs; those of the row above begin at `above`
  const starts: number[] = [];
  const ends: number[] = [];
  const rows: number[] = [];
  let above = 0;
  for (let y = 0; y < height; y++) {
    const first = starts.length;
    let candidate = above;
    const line = y * width;
    for (let x = 0; x < width; x++) {
      if (data[line + x]! >= level) continue;
      const start = x;
      while (x < width && data[line + x]! < level) x++;
      const run = starts.push(start) - 1;
      ends.push(x);
      rows.push(y);
      parent.push(run);
      while (candidate < first && ends[candidate]! < start) candidate++;
      for (let k = candidate; k < first && starts[k]! <= x; k++) {
        const [a, b] = [root(k), root(run)];
        parent[Math.max(a, b)] = Math.min(a, b);
      }
    }
    above = first;
  }
  const found = new Map<number, Component>();
  for (let run = 0; run < starts.length; run++) {
    const [left, right, y] = [starts[run]!, ends[run]!, rows[run]!];
    const at = root(run);
    const part = found.get(at);
    if (part === undefined) found.set(at, { left, top: y, right, bottom: y + 1, area: right - left, runs: 1 });
    else {
      part.left = Math.min(part.left, left);
      part.right = Math.max(part.right, right);
      part.bottom = y + 1;
      part.area += right - left;
      part.runs++;
    }
  }
  return Array.from(found.values());
}
