// The sum over some axes.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { broadcastTo } from './broadcast_to.ts';
import { arity, checkAxes, normal } from './checks.ts';
import { reshape } from './reshape.ts';

export type ReductionAttrs = { readonly axes: readonly number[]; readonly keep: boolean };

/** The shape with the reduced axes left as 1. */
export const keptShape = (shape: readonly number[], axes: readonly number[]): number[] =>
  shape.map((n, i) => (axes.includes(i) ? 1 : n));

/** What any reduction over some axes gives. */
export function inferReduction(inputs: readonly TensorType[], { axes, keep }: ReductionAttrs): TensorType[] {
  arity(inputs, 1);
  const { dtype, shape } = inputs[0]!;
  checkAxes(axes, shape.length);
  return [{ dtype, shape: keep ? keptShape(shape, axes) : shape.filter((_, i) => !axes.includes(i)) }];
}

export const reduceSumOp: OpDef<ReductionAttrs> = {
  name: 'reduce_sum',
  infer: inferReduction,
  vjp({ inputs: [x], grads: [grad], attrs: { axes } }) {
    return [broadcastTo(reshape(grad!, keptShape(x!.shape, axes)), x!.shape)];
  },
  flops: ([x]) => sizeOf((x as TensorType).shape),
  samples: [
    { inputs: [normal(3, 4, 5)], attrs: { axes: [1], keep: false } },
    { inputs: [normal(3, 4)], attrs: { axes: [0, 1], keep: true } },
    { inputs: [normal(1, 6)], attrs: { axes: [0], keep: false } },
    { inputs: [normal(3, 131)], attrs: { axes: [1], keep: false } },
    { inputs: [normal(37, 1, 3)], attrs: { axes: [0, 2], keep: false } },
  ],
};

export const reduceSum = (x: Value, axes: readonly number[], keep = false): Value =>
  call(reduceSumOp, [x], { axes, keep });
