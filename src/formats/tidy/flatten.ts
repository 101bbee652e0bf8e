// Uneven light: each pixel divided by the paper around it, as far as that varies; and faint ink made dark.
import type { Grey } from './grey.ts';

/** Paper that varies by less is even; a screenshot's does not vary at all. */
const EVEN = 12;
/** Paper darkens less than to this from one cell to the next, in shadow too; beyond is a table, which stays dark. */
const SHADOW = 0.6;

/** Divides by the paper where its lightness varies; an even picture is returned as it is. */
export function flatten(picture: Grey): Grey {
  const { width, height, data } = picture;
  const { columns, rows, cell, levels } = paperGrid(picture);
  const sorted = levels.toSorted();
  if (sorted.at(-1)! - sorted[Math.floor(0.02 * sorted.length)]! < EVEN) return picture;
  const gains = levels.map((level) => 255 / Math.max(level, 1));
  // Bilinear between the middles of the cells: of each pixel the cell before it, and how far it is from that one's middle.
  const across = between(width, cell, columns);
  const down = between(height, cell, rows);
  const out = new Uint8Array(data.length);
  const line = new Float32Array(columns + 1);
  for (let y = 0, at = 0; y < height; y++) {
    const above = down.cells[y]! * columns;
    const below = Math.min(above + columns, gains.length - columns);
    const part = down.parts[y]!;
    for (let k = 0; k < columns; k++) line[k] = gains[above + k]! + (gains[below + k]! - gains[above + k]!) * part;
    line[columns] = line[columns - 1]!;
    for (let x = 0; x < width; x++, at++) {
      const k = across.cells[x]!;
      const before = line[k]!;
      const value = data[at]! * (before + (line[k + 1]! - before) * across.parts[x]!) + 0.5;
      out[at] = value > 255 ? 255 : value;
    }
  }
  return { width, height, data: out };
}

function between(length: number, cell: number, cells: number): { cells: Int32Array; parts: Float32Array } {
  const places = Float32Array.from({ length }, (_, i) => Math.min(Math.max((i + 0.5) / cell - 0.5, 0), cells - 1));
  const before = Int32Array.from(places);
  return { cells: before, parts: places.map((place, i) => place - before[i]!) };
}

/** The lightness of the paper in cells: four fifths of a cell's pixels are darker; cells that ink fills take their neighbours'. */
function paperGrid({ width, height, data }: Grey): {
  columns: number;
  rows: number;
  cell: number;
  levels: Float64Array;
} {
  const cell = Math.max(24, Math.ceil(Math.max(width, height) / 24));
  const columns = Math.ceil(width / cell);
  const rows = Math.ceil(height / cell);
  const levels = new Float64Array(columns * rows);
  const counts = new Uint32Array(256);
  for (let r = 0; r < rows; r++)
    for (let k = 0; k < columns; k++) {
      counts.fill(0);
      const right = Math.min(width, (k + 1) * cell);
      const bottom = Math.min(height, (r + 1) * cell);
      for (let y = r * cell; y < bottom; y++)
        for (let at = y * width + k * cell; at < y * width + right; at++) counts[data[at]!]!++;
      let left = 0.2 * (right - k * cell) * (bottom - r * cell);
      let level = 255;
      while (level > 0 && left >= counts[level]!) left -= counts[level--]!;
      levels[r * columns + k] = level;
    }
  const largest = neighbours(levels, columns, rows, Math.max);
  const closed = neighbours(largest, columns, rows, Math.min);
  return { columns, rows, cell, levels: spread(closed, columns, rows) };
}

/** From a bright cell on, neighbour by neighbour; where the level falls off, the paper's goes on. */
function spread(levels: Float64Array, columns: number, rows: number): Float64Array {
  const out = new Float64Array(levels.length);
  const bright = levels.toSorted()[Math.floor(0.75 * levels.length)]!;
  const queue = [levels.indexOf(bright)];
  out[queue[0]!] = bright;
  for (let head = 0; head < queue.length; head++) {
    const at = queue[head]!;
    const [r, k] = [Math.floor(at / columns), at % columns];
    for (const next of [
      r > 0 && at - columns,
      r < rows - 1 && at + columns,
      k > 0 && at - 1,
      k < columns - 1 && at + 1,
    ]) {
      if (next === false || out[next]! > 0) continue;
      out[next] = levels[next]! < SHADOW * out[at]! ? out[at]! : Math.max(levels[next]!, 1);
      queue.push(next);
    }
  }
  return out;
}

/** Each cell with its eight neighbours by a function of their values. */
function neighbours(
  levels: Float64Array,
  columns: number,
  rows: number,
  of: (a: number, b: number) => number,
): Float64Array {
  const out = levels.slice();
  for (let r = 0; r < rows; r++)
    for (let k = 0; k < columns; k++)
      for (let i = Math.max(0, r - 1); i <= Math.min(rows - 1, r + 1); i++)
        for (let j = Math.max(0, k - 1); j <= Math.min(columns - 1, k + 1); j++)
          out[r * columns + k] = of(out[r * columns + k]!, levels[i * columns + j]!);
  return out;
}
