// Parts of an axis, one after another: the reverse of concat.
import type { OpDef, Value } from '../graph/graph.ts';
import type { TensorType } from '../graph/types.ts';
import { broadcastTo } from './broadcast_to.ts';
import { arity, expect, normal } from './checks.ts';
import { concat } from './concat.ts';
import { literal } from './elementwise.ts';

type SplitAttrs = { axis: number; sizes: readonly number[] };

export const splitOp: OpDef<SplitAttrs> = {
  name: 'split',
  infer(inputs, { axis, sizes }) {
    arity(inputs, 1);
    const { dtype, shape } = inputs[0] as TensorType;
    expect(axis >= 0 && axis < shape.length, `an axis below ${shape.length}, got ${axis}`);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expect(total === shape[axis], `sizes that add up to ${shape[axis]}, got ${sizes.join(' + ')}`);
    return sizes.map((size) => ({ dtype, shape: shape.map((n, i) => (i === axis ? size : n)) }));
  },
  vjp({ outputs, grads, attrs: { axis } }) {
    const zeros = (out: Value) => broadcastTo(literal(out, 0), out.shape);
    return [
      concat(
        outputs.map((out, i) => grads[i] ?? zeros(out)),
        axis,
      ),
    ];
  },
  flops: () => 0,
  samples: [
    { inputs: [normal(3, 6)], attrs: { axis: 1, sizes: [1, 3, 2] } },
    { inputs: [normal(4, 2, 3)], attrs: { axis: 0, sizes: [2, 2] } },
    { inputs: [normal(2, 5)], attrs: { axis: 1, sizes: [5] } },
  ],
};

/** @param sizes lengths of the parts, which add up to the axis */
export const split = (x: Value, axis: number, sizes: readonly number[]): readonly Value[] =>
  sizes.length === 1 ? [x] : x.graph.apply(splitOp, [x], { axis, sizes: [...sizes] });
