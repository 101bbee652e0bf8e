// A contiguous box: starts[i] ≤ index < ends[i] on every axis.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import type { TensorType } from '../graph/types.ts';
import { arity, expect, normal } from './checks.ts';
import { pad } from './pad.ts';

export const sliceOp: OpDef<{ starts: readonly number[]; ends: readonly number[] }> = {
  name: 'slice',
  infer(inputs, { starts, ends }) {
    arity(inputs, 1);
    const { dtype, shape } = inputs[0] as TensorType;
    expect(
      starts.length === shape.length && ends.length === shape.length,
      `a start and an end for each of ${shape.length} axes`,
    );
    expect(
      shape.every((n, i) => 0 <= starts[i]! && starts[i]! <= ends[i]! && ends[i]! <= n),
      `a box inside [${shape.join(',')}], got [${starts.join(',')}] to [${ends.join(',')}]`,
    );
    return [{ dtype, shape: shape.map((_, i) => ends[i]! - starts[i]!) }];
  },
  vjp: ({ inputs: [x], grads: [grad], attrs: { starts, ends } }) => [
    pad(
      grad!,
      starts,
      x!.shape.map((n, i) => n - ends[i]!),
    ),
  ],
  flops: () => 0,
  samples: [
    { inputs: [normal(4, 5)], attrs: { starts: [1, 0], ends: [3, 5] } },
    { inputs: [normal(4, 5, 2)], attrs: { starts: [0, 2, 1], ends: [4, 3, 2] } },
  ],
};

/** Part of one axis, the others whole. */
export function sliceAxis(x: Value, axis: number, start: number, end: number): Value {
  if (start === 0 && end === x.shape[axis]) return x;
  const starts = x.shape.map((_, i) => (i === axis ? start : 0));
  const ends = x.shape.map((n, i) => (i === axis ? end : n));
  return call(sliceOp, [x], { starts, ends });
}
