// What attention and its gradient share: the sizes of their operands, and masked, scaled scores.
import type { Value } from '../graph/graph.ts';
import type { TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { cast } from './cast.ts';
import { dims, expect, expectInts, expectShape } from './checks.ts';
import { literal } from './elementwise.ts';
import { equal } from './equal.ts';
import { matmul } from './matmul.ts';
import { mul } from './mul.ts';
import { reshape } from './reshape.ts';
import { select } from './select.ts';
import { transpose } from './transpose.ts';

export type AttentionAttrs = { row: number; causal: boolean; scale: number };

/** What stands for minus infinity: large enough to vanish in exp, small enough never to make NaN. */
export const MASKED = -1e9;

/** Checks q, k, v and segments, and returns their sizes. */
export function attentionSizes(inputs: readonly TensorType[], row: number) {
  const [q, k, v, segments] = inputs as [TensorType, TensorType, TensorType, TensorType];
  const [tokens, heads, width] = dims(q, 3, 'q') as [number, number, number];
  const kvHeads = dims(k, 3, 'k')[1]!;
  expect(heads % kvHeads === 0, `query heads in whole groups, got ${heads} over ${kvHeads}`);
  expectShape(k, [tokens, kvHeads, width], 'k');
  expectShape(v, [tokens, kvHeads, width], 'v');
  expectInts(segments, [tokens], 'segments');
  expect(row > 0 && tokens % row === 0, `whole rows of ${row} tokens, got ${tokens}`);
  return { tokens, heads, kvHeads, width };
}

/** Masked, scaled scores [rows, KV, group·row, row] and the views that made them, shared with the gradient. */
export function attentionScores(q: Value, k: Value, segments: Value, { row, causal, scale }: AttentionAttrs) {
  const [tokens, heads, width] = q.shape as [number, number, number];
  const kvHeads = k.shape[1]!;
  const rows = tokens / row;
  const group = heads / kvHeads;
  const queries = (x: Value) =>
    reshape(transpose(reshape(x, [rows, row, kvHeads, group, width]), [0, 2, 3, 1, 4]), [
      rows,
      kvHeads,
      group * row,
      width,
    ]);
  const keys = (x: Value) => transpose(reshape(x, [rows, row, kvHeads, width]), [0, 2, 1, 3]);
  const fromQueries = (x: Value) =>
    reshape(transpose(reshape(x, [rows, kvHeads, group, row, width]), [0, 3, 1, 2, 4]), [tokens, heads, width]);
  const fromKeys = (x: Value) => reshape(transpose(x, [0, 2, 1, 3]), [tokens, kvHeads, width]);

  const ids = reshape(segments, [rows, row]);
  const zero = q.graph.scalar(0);
  const masked = q.graph.scalar(MASKED);
  let mask = select(equal(reshape(ids, [rows, row, 1]), reshape(ids, [rows, 1, row])), zero, masked);
  if (causal) {
    const later = new Float32Array(row * row);
    for (let i = 0; i < row; i++) for (let j = i + 1; j < row; j++) later[i * row + j] = MASKED;
    mask = add(mask, q.graph.constant(later, [row, row], 'f32'));
  }
  // Scale the queries, not the scores: the same product and fewer elements.
  const scaled = queries(mul(q, literal(q, scale)));
  const raw = cast(matmul(scaled, keys(k), { transB: true }), 'f32');
  const wide = add(reshape(raw, [rows, heads, row, row]), reshape(mask, [rows, 1, row, row]));
  return { scores: reshape(wide, [rows, kvHeads, group * row, row]), queries, keys, fromQueries, fromKeys };
}
