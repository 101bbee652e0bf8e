// Connected parts of ink (eight neighbours), by runs along the rows.
import type { Grey } from './grey.ts';

export interface Component {
  left: number;
  top: number;
  /** exclusive, as bottom */
  right: number;
  bottom: number;
  /** pixels of ink */
  area: number;
}

/** Of all runs their starts, ends and parents in the forest of parts. They are filled anew for every picture, and grow. */
let starts = new Int32Array(4096);
let ends = new Int32Array(4096);
let parents = new Int32Array(4096);

/** Makes room for so many runs. */
function reserve(runs: number): void {
  if (runs <= starts.length) return;
  const grown = (old: Int32Array): Int32Array<ArrayBuffer> => {
    const array = new Int32Array(2 * runs);
    array.set(old);
    return array;
  };
  starts = grown(starts);
  ends = grown(ends);
  parents = grown(parents);
}

function rootOf(run: number): number {
  let r = run;
  while (parents[r] !== r) {
    parents[r] = parents[parents[r]!]!;
    r = parents[r]!;
  }
  return r;
}

/** The parts of what is darker than `level`, in the order of their uppermost runs. */
export function components({ width, height, data }: Grey, level: number): Component[] {
  // where each row's runs begin
  const rows = new Int32Array(height + 1);
  let count = 0;
  for (let y = 0; y < height; y++) {
    reserve(count + width);
    let candidate = y > 0 ? rows[y - 1]! : 0;
    const first = count;
    rows[y] = first;
    const line = y * width;
    for (let x = 0; x < width; x++) {
      if (data[line + x]! >= level) continue;
      const start = x;
      while (x < width && data[line + x]! < level) x++;
      const run = count++;
      starts[run] = start;
      ends[run] = x;
      parents[run] = run;
      while (candidate < first && ends[candidate]! < start) candidate++;
      for (let k = candidate; k < first && starts[k]! <= x; k++) {
        const a = rootOf(k);
        const b = rootOf(run);
        parents[Math.max(a, b)] = Math.min(a, b);
      }
    }
  }
  rows[height] = count;
  const found: Component[] = [];
  const partOf: Component[] = [];
  for (let y = 0; y < height; y++)
    for (let run = rows[y]!; run < rows[y + 1]!; run++) {
      const left = starts[run]!;
      const right = ends[run]!;
      const root = rootOf(run);
      // A part's root is its first run.
      if (root === run) {
        const part = { left, top: y, right, bottom: y + 1, area: right - left };
        partOf[run] = part;
        found.push(part);
        continue;
      }
      const part = partOf[root]!;
      part.left = Math.min(part.left, left);
      part.right = Math.max(part.right, right);
      part.bottom = y + 1;
      part.area += right - left;
    }
  return found;
}
