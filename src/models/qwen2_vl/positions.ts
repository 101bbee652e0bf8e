// Positions of Qwen2-VL: M-RoPE (temporal, height, width) of a prompt's tokens, and rows and columns of its patches.
import { InputError } from '../../shared/errors.ts';
import type { Qwen2VLConfig } from './config.ts';

/** Frames, and rows and columns of patches. */
export type Grid = readonly [number, number, number];

function checkGrid(grid: Grid, merge: number): void {
  const [t, h, w] = grid;
  if (!grid.every((n) => Number.isInteger(n) && n > 0) || h % merge !== 0 || w % merge !== 0)
    throw new InputError(`image grid [${t}, ${h}, ${w}]: height and width must be positive multiples of ${merge}`);
}

/**
 * Text advances all three axes by one; an image starting at p has (p + t, p + row, p + column) on its merged grid, and
 * the text after it goes on at p plus the longest side.
 * @returns positions i32 [3, T], and ropeDelta: what decoding adds to a token's index to get its position
 */
export function mropePositions(
  ids: ArrayLike<number>,
  grids: readonly Grid[],
  config: Pick<Qwen2VLConfig, 'imageTokenId' | 'vision'>,
): { positions: Int32Array; ropeDelta: number } {
  const length = ids.length;
  const merge = config.vision.mergeSize;
  for (const grid of grids) checkGrid(grid, merge);
  const positions = new Int32Array(3 * length);
  let next = 0;
  let image = 0;
  for (let i = 0; i < length; ) {
    if (ids[i] !== config.imageTokenId) {
      for (let axis = 0; axis < 3; axis++) positions[axis * length + i] = next;
      next++;
      i++;
      continue;
    }
    const grid = grids[image++];
    if (!grid) throw new InputError(`the prompt has image tokens for ${image} images, but ${grids.length} were given`);
    const [frames, rows, columns] = [grid[0], grid[1] / merge, grid[2] / merge];
    let n = 0;
    for (let frame = 0; frame < frames; frame++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++, n++, i++) {
          if (ids[i] !== config.imageTokenId)
            throw new InputError(
              `image ${image} needs ${frames * rows * columns} image tokens, but the prompt has ${n}`,
            );
          positions[i] = next + frame;
          positions[length + i] = next + row;
          positions[2 * length + i] = next + column;
        }
    next += Math.max(frames, rows, columns);
  }
  if (image !== grids.length)
    throw new InputError(`${grids.length} images were given, but the prompt has tokens for ${image}`);
  return { positions, ropeDelta: next - length };
}

/** i32 [P] each, in patch order: blocks of merge × merge, row-major. */
export interface PatchPlaces {
  readonly rows: Int32Array;
  readonly columns: Int32Array;
}

/** Batches meet the same few grids again and again. */
const known = new Map<string, PatchPlaces>();
const MOST_KNOWN = 1024;

/** Row and column of each patch in its grid. */
export function visionPositions(grid: Grid, merge: number): PatchPlaces {
  const key = `${grid} ${merge}`;
  const found = known.get(key);
  if (found) return found;
  checkGrid(grid, merge);
  const [frames, height, width] = grid;
  const places = { rows: new Int32Array(frames * height * width), columns: new Int32Array(frames * height * width) };
  let at = 0;
  for (let t = 0; t < frames; t++)
    for (let blockRow = 0; blockRow < height; blockRow += merge)
      for (let blockColumn = 0; blockColumn < width; blockColumn += merge)
        for (let r = 0; r < merge; r++)
          for (let c = 0; c < merge; c++, at++) {
            places.rows[at] = blockRow + r;
            places.columns[at] = blockColumn + c;
          }
  if (known.size === MOST_KNOWN) known.clear();
  known.set(key, places);
  return places;
}
