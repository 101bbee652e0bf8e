// Rotary tables: cosines and sines by integer position, gathered per axis and joined into [T, d/2].
// Angles are rounded to float32 before the cosine, as transformers computes them.
import type { Graph, Value } from '../graph/graph.ts';
import { concat } from '../ops/concat.ts';
import { gatherRows } from '../ops/gather_rows.ts';

/** One axis: positions i32 [T] and the inverse frequencies it turns. */
export interface RotaryAxis {
  readonly positions: Value;
  readonly inverse: Float32Array;
}

/** theta^(−2j/width) in float32 for j < width/2. */
export function inverseFrequencies(theta: number, width: number): Float32Array {
  return Float32Array.from({ length: width / 2 }, (_, j) => 1 / Math.fround(theta ** Math.fround((2 * j) / width)));
}

/** cos and sin f32 [T, Σ inverse.length]; positions must be below `limit`. */
export function rotaryTables(graph: Graph, axes: readonly RotaryAxis[], limit: number): { cos: Value; sin: Value } {
  const gathered = (f: (angle: number) => number) =>
    concat(
      axes.map(({ positions, inverse }) => {
        const table = new Float32Array(limit * inverse.length);
        for (let p = 0; p < limit; p++)
          inverse.forEach((w, j) => {
            table[p * inverse.length + j] = f(Math.fround(p * w));
          });
        return gatherRows(graph.constant(table, [limit, inverse.length], 'f32'), positions);
      }),
      1,
    );
  return { cos: gathered(Math.cos), sin: gathered(Math.sin) };
}
