// Axes in another order: output axis i is input axis perm[i].
import { call, type OpDef, type Value } from '../graph/graph.ts';
import type { TensorType } from '../graph/types.ts';
import { arity, expect, normal } from './checks.ts';

export const transposeOp: OpDef<{ perm: readonly number[] }> = {
  name: 'transpose',
  infer(inputs, { perm }) {
    arity(inputs, 1);
    const x = inputs[0] as TensorType;
    const rank = x.shape.length;
    expect(
      perm.length === rank && new Set(perm).size === rank && perm.every((p) => p >= 0 && p < rank),
      `a permutation of ${rank} axes, got [${perm.join(',')}]`,
    );
    return [{ dtype: x.dtype, shape: perm.map((p) => x.shape[p] as number) }];
  },
  vjp: ({ grads: [grad], attrs: { perm } }) => [
    transpose(
      grad!,
      perm.map((_, i) => perm.indexOf(i)),
    ),
  ],
  flops: () => 0,
  samples: [
    { inputs: [normal(3, 4)], attrs: { perm: [1, 0] } },
    { inputs: [normal(2, 3, 4, 5)], attrs: { perm: [0, 2, 1, 3] } },
    { inputs: [normal(2, 3, 4)], attrs: { perm: [2, 0, 1] } },
  ],
};

export const transpose = (x: Value, perm: readonly number[]): Value =>
  perm.every((p, i) => p === i) ? x : call(transposeOp, [x], { perm: [...perm] });
