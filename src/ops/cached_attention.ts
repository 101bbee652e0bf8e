// One decoding step of attention: each sequence's new query attends to its first lengths[b] cached rows and to its own
// new row. q [B, H, d], new k and v [B, KV, 1, d], caches [B, KV, L, d], lengths i32 [B] → [B, H, d].
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { MASKED } from './attention_scores.ts';
import { cast } from './cast.ts';
import { arity, dims, expectInts, expectShape, ints, normal } from './checks.ts';
import { concat } from './concat.ts';
import { literal } from './elementwise.ts';
import { less } from './less.ts';
import { matmul } from './matmul.ts';
import { mul } from './mul.ts';
import { reshape } from './reshape.ts';
import { select } from './select.ts';
import { sliceAxis } from './slice.ts';
import { softmax } from './softmax.ts';

export const cachedAttentionOp: OpDef<{ scale: number }> = {
  name: 'cached_attention',
  infer(inputs) {
    arity(inputs, 6);
    const [q, kNew, vNew, kCache, vCache, lengths] = inputs as TensorType[];
    const [batch, , width] = dims(q!, 3, 'q') as [number, number, number];
    const [, kvHeads, length] = dims(kCache!, 4, 'k cache') as [number, number, number];
    expectShape(kNew!, [batch, kvHeads, 1, width], 'new k');
    expectShape(vNew!, [batch, kvHeads, 1, width], 'new v');
    expectShape(kCache!, [batch, kvHeads, length, width], 'k cache');
    expectShape(vCache!, [batch, kvHeads, length, width], 'v cache');
    expectInts(lengths!, [batch], 'lengths');
    return [q!];
  },
  decompose([q, kNew, vNew, kCache, vCache, lengths], { scale }) {
    const graph = q!.graph;
    const [batch, heads, width] = q!.shape as [number, number, number];
    const [, kvHeads, length] = kCache!.shape as [number, number, number];
    const grouped = reshape(mul(q!, literal(q!, scale)), [batch, kvHeads, heads / kvHeads, width]);
    const index = graph.constant(
      Int32Array.from({ length }, (_, i) => i),
      [1, length],
      'i32',
    );
    const mask = select(less(index, reshape(lengths!, [batch, 1])), graph.scalar(0), graph.scalar(MASKED));
    const old = add(cast(matmul(grouped, kCache!, { transB: true }), 'f32'), reshape(mask, [batch, 1, 1, length]));
    const fresh = cast(matmul(grouped, kNew!, { transB: true }), 'f32');
    const p = cast(softmax(concat([old, fresh], 3)), q!.dtype);
    const out = add(matmul(sliceAxis(p, 3, 0, length), vCache!), mul(sliceAxis(p, 3, length, length + 1), vNew!));
    return [reshape(out, [batch, heads, width])];
  },
  flops: ([q, , , cache]) => 4 * sizeOf(q!.shape) * (cache!.shape[2]! + 1),
  samples: [
    {
      inputs: [
        normal(2, 4, 6),
        normal(2, 2, 1, 6),
        normal(2, 2, 1, 6),
        normal(2, 2, 5, 6),
        normal(2, 2, 5, 6),
        ints([2], [3, 0]),
      ],
      attrs: { scale: 0.4 },
    },
    // a full cache, half of one and none; three heads on one, whole vectors wide
    {
      inputs: [
        normal(3, 6, 16),
        normal(3, 2, 1, 16),
        normal(3, 2, 1, 16),
        normal(3, 2, 9, 16),
        normal(3, 2, 9, 16),
        ints([3], [9, 4, 0]),
      ],
      attrs: { scale: 0.25 },
    },
    {
      inputs: [
        normal(1, 1, 2),
        normal(1, 1, 1, 2),
        normal(1, 1, 1, 2),
        normal(1, 1, 1, 2),
        normal(1, 1, 1, 2),
        ints([1], [1]),
      ],
      attrs: { scale: 1 },
    },
  ],
};

export const cachedAttention = (inputs: readonly [Value, Value, Value, Value, Value, Value], scale: number): Value =>
  call(cachedAttentionOp, inputs, { scale });
