// Gradients of attention: (dout, q, k, v, segments, out, lse) → dq, dk, dv. Probabilities come back from lse, so
// nothing of size T×T is kept (Dao et al. 2022).
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf } from '../graph/types.ts';
import { type AttentionAttrs, attentionScores, attentionSizes } from './attention_scores.ts';
import { cast } from './cast.ts';
import { arity, ints, normal, wide } from './checks.ts';
import { literal } from './elementwise.ts';
import { exp } from './exp.ts';
import { matmul } from './matmul.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';
import { reshape } from './reshape.ts';
import { sub } from './sub.ts';
import { transpose } from './transpose.ts';

export const attentionGradOp: OpDef<AttentionAttrs> = {
  name: 'attention_grad',
  infer(inputs, { row }) {
    arity(inputs, 7);
    attentionSizes(inputs.slice(1), row);
    return inputs.slice(1, 4);
  },
  decompose([dout, q, k, v, segments, out, lse], attrs) {
    const [tokens, heads] = q!.shape as [number, number];
    const kvHeads = k!.shape[1]!;
    const rows = tokens / attrs.row;
    const { scores, queries, keys, fromQueries, fromKeys } = attentionScores(q!, k!, segments!, attrs);
    const perQuery = (x: Value) =>
      reshape(transpose(reshape(x, [rows, attrs.row, heads]), [0, 2, 1]), [
        rows,
        kvHeads,
        (heads / kvHeads) * attrs.row,
        1,
      ]);
    const p = exp(sub(scores, perQuery(lse!)));
    const g = queries(dout!);
    const dp = cast(matmul(g, keys(v!), { transB: true }), 'f32');
    const delta = reduceSum(mul(cast(dout!, 'f32'), cast(out!, 'f32')), [2]); // [T, H]
    const ds = cast(mul(p, sub(dp, perQuery(delta))), q!.dtype);
    const scale = literal(q!, attrs.scale);
    return [
      mul(fromQueries(matmul(ds, keys(k!))), scale),
      mul(fromKeys(matmul(ds, queries(q!), { transA: true })), scale),
      fromKeys(matmul(cast(p, q!.dtype), g, { transA: true })),
    ];
  },
  flops: ([q], _outputs, { row, causal }) => (10 * sizeOf(q!.shape) * row) / (causal ? 2 : 1),
  samples: [
    {
      inputs: [
        normal(4, 2, 4),
        normal(4, 2, 4),
        normal(4, 1, 4),
        normal(4, 1, 4),
        ints([4], [1, 1, 2, 2]),
        normal(4, 2, 4),
        wide(normal(4, 2)),
      ],
      attrs: { row: 4, causal: true, scale: 0.5 },
    },
  ],
};

export const attentionGrad = (
  dout: Value,
  q: Value,
  k: Value,
  v: Value,
  segments: Value,
  out: Value,
  lse: Value,
  attrs: AttentionAttrs,
): readonly [Value, Value, Value] =>
  dout.graph.apply(attentionGradOp, [dout, q, k, v, segments, out, lse], attrs) as readonly [Value, Value, Value];
