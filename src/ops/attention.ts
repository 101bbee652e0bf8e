// Segment-masked attention over a packed batch: q [T, H, d], k and v [T, KV, d], segments i32 [T] → out [T, H, d] and
// lse f32 [T, H]. A token attends within its block of `row` tokens (the packer lets no segment cross a block), to its
// own segment, and when causal to nothing later. Grouped queries: head h uses kv head ⌊h·KV/H⌋.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { attentionGrad } from './attention_grad.ts';
import { cast } from './cast.ts';
import { arity, dims, expect, expectInts, expectShape, ints, normal } from './checks.ts';
import { literal } from './elementwise.ts';
import { equal } from './equal.ts';
import { exp } from './exp.ts';
import { log } from './log.ts';
import { matmul } from './matmul.ts';
import { mul } from './mul.ts';
import { reduceMax } from './reduce_max.ts';
import { reduceSum } from './reduce_sum.ts';
import { reshape } from './reshape.ts';
import { select } from './select.ts';
import { softmax } from './softmax.ts';
import { sub } from './sub.ts';
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

export const attentionOp: OpDef<AttentionAttrs> = {
  name: 'attention',
  infer(inputs, { row }) {
    arity(inputs, 4);
    const { tokens, heads } = attentionSizes(inputs, row);
    return [inputs[0]!, { dtype: 'f32', shape: [tokens, heads] }];
  },
  decompose([q, k, v, segments], attrs) {
    const { scores, keys, fromQueries } = attentionScores(q!, k!, segments!, attrs);
    const out = fromQueries(matmul(cast(softmax(scores), q!.dtype), keys(v!)));
    const max = reduceMax(scores, [3], true);
    const lse = add(log(reduceSum(exp(sub(scores, max)), [3], true)), max);
    const [tokens, heads] = q!.shape as [number, number];
    const byRow = transpose(reshape(lse, [tokens / attrs.row, heads, attrs.row]), [0, 2, 1]);
    return [out, reshape(byRow, [tokens, heads])];
  },
  vjp({ inputs: [q, k, v, segments], outputs: [out, lse], grads: [dout], attrs }) {
    return [...attentionGrad(dout!, q!, k!, v!, segments!, out!, lse!, attrs), null];
  },
  flops: ([q], _outputs, { row, causal }) => (4 * sizeOf(q!.shape) * row) / (causal ? 2 : 1),
  samples: attentionSamples(),
};

function attentionSamples() {
  return [
    // two segments and padding (0), grouped heads, causal
    {
      inputs: [normal(8, 4, 6), normal(8, 2, 6), normal(8, 2, 6), ints([8], [1, 1, 1, 2, 2, 3, 0, 0])],
      attrs: { row: 8, causal: true, scale: 0.4 },
    },
    // two rows, bidirectional, a segment id that comes again in the next row
    {
      inputs: [normal(6, 2, 4), normal(6, 2, 4), normal(6, 2, 4), ints([6], [1, 1, 2, 1, 2, 2])],
      attrs: { row: 3, causal: false, scale: 0.5 },
    },
    // one token
    {
      inputs: [normal(1, 1, 2), normal(1, 1, 2), normal(1, 1, 2), ints([1], [1])],
      attrs: { row: 1, causal: true, scale: 1 },
    },
  ];
}

export const attention = (q: Value, k: Value, v: Value, segments: Value, attrs: AttentionAttrs): Value =>
  call(attentionOp, [q, k, v, segments], attrs);
