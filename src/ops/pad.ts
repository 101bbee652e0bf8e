// Zeros before and after on every axis: what the gradient of slice is made of.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import type { TensorType } from '../graph/types.ts';
import { arity, expect, normal } from './checks.ts';

export const padOp: OpDef<{ before: readonly number[]; after: readonly number[] }> = {
  name: 'pad',
  infer(inputs, { before, after }) {
    arity(inputs, 1);
    const { dtype, shape } = inputs[0] as TensorType;
    expect(
      before.length === shape.length && after.length === shape.length && [...before, ...after].every((n) => n >= 0),
      `non-negative padding for each of ${shape.length} axes`,
    );
    return [{ dtype, shape: shape.map((n, i) => n + before[i]! + after[i]!) }];
  },
  flops: () => 0,
  samples: [
    { inputs: [normal(2, 3)], attrs: { before: [1, 0], after: [0, 2] } },
    { inputs: [normal(1)], attrs: { before: [0], after: [3] } },
  ],
};

export const pad = (x: Value, before: readonly number[], after: readonly number[]): Value =>
  call(padOp, [x], { before, after });
