// Smooth random unevenness: light that falls off, stains, the grain of paper, ink that did not take.
import type { Random } from '../../../shared/random.ts';

/** Adds to a field values from -amplitude to amplitude, smooth over `cell` pixels (bilinear value noise). */
export function addUnevenness(
  field: Float32Array,
  width: number,
  height: number,
  cell: number,
  amplitude: number,
  random: Random,
): void {
  const columns = Math.ceil(width / cell) + 2;
  const rows = Math.ceil(height / cell) + 2;
  const grid = new Float32Array(columns * rows);
  for (let i = 0; i < grid.length; i++) grid[i] = random.range(-amplitude, amplitude);
  const [x0, y0] = [random.float(), random.float()];
  for (let y = 0, at = 0; y < height; y++) {
    const v = y / cell + y0;
    const row = Math.floor(v);
    const fy = v - row;
    for (let x = 0; x < width; x++, at++) {
      const u = x / cell + x0;
      const column = Math.floor(u);
      const fx = u - column;
      const corner = row * columns + column;
      const above = grid[corner]! + fx * (grid[corner + 1]! - grid[corner]!);
      const under = grid[corner + columns]! + fx * (grid[corner + columns + 1]! - grid[corner + columns]!);
      field[at]! += above + fy * (under - above);
    }
  }
}

/** Adds a plane that rises from -amplitude to about amplitude across the picture, in a random direction. */
export function addSlope(field: Float32Array, width: number, height: number, amplitude: number, random: Random): void {
  const angle = random.range(0, 2 * Math.PI);
  const [dx, dy] = [(2 * amplitude * Math.cos(angle)) / width, (2 * amplitude * Math.sin(angle)) / height];
  for (let y = 0, at = 0; y < height; y++) {
    let value = dy * (y - height / 2) - (dx * width) / 2;
    for (let x = 0; x < width; x++, at++) {
      field[at]! += value;
      value += dx;
    }
  }
}
