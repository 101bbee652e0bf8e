// Segment-masked attention over a packed batch: q [T, H, d], k and v [T, KV, d], segments i32 [T] → out [T, H, d] and
// lse f32 [T, H]. A token attends within its block of `row` tokens (the packer lets no segment cross a block), to its
// own segment, and when causal to nothing later. Grouped queries: head h uses kv head ⌊h·KV/H⌋.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf } from '../graph/types.ts';
import { add } from './add.ts';
import { attentionGrad } from './attention_grad.ts';
import { type AttentionAttrs, attentionScores, attentionSizes } from './attention_scores.ts';
import { cast } from './cast.ts';
import { arity, ints, normal } from './checks.ts';
import { exp } from './exp.ts';
import { log } from './log.ts';
import { matmul } from './matmul.ts';
import { reduceMax } from './reduce_max.ts';
import { reduceSum } from './reduce_sum.ts';
import { reshape } from './reshape.ts';
import { softmax } from './softmax.ts';
import { sub } from './sub.ts';
import { transpose } from './transpose.ts';

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
    // sizes that are no multiple of a tile, three heads on one
    {
      inputs: [
        normal(14, 3, 5),
        normal(14, 1, 5),
        normal(14, 1, 5),
        ints([14], [1, 1, 1, 1, 2, 2, 2, 1, 2, 2, 2, 2, 2, 0]),
      ],
      attrs: { row: 7, causal: true, scale: 0.45 },
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
