// exp(x − max) / Σ over the last axis.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { isFloat, sizeOf, type TensorType, typeName } from '../graph/types.ts';
import { arity, expect, floats, normal } from './checks.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';
import { sub } from './sub.ts';

export const softmaxOp: OpDef = {
  name: 'softmax',
  infer(inputs) {
    arity(inputs, 1);
    const x = inputs[0] as TensorType;
    expect(isFloat(x.dtype) && x.shape.length > 0, `floats of rank 1 or more, got ${typeName(x)}`);
    return [x];
  },
  vjp({ outputs: [p], grads: [grad] }) {
    const weighted = mul(grad!, p!);
    return [sub(weighted, mul(p!, reduceSum(weighted, [p!.shape.length - 1], true)))];
  },
  flops: ([x]) => 5 * sizeOf(x!.shape),
  samples: [
    { inputs: [normal(3, 7)], attrs: {} },
    { inputs: [normal(2, 3, 1)], attrs: {} },
    { inputs: [normal(3, 129)], attrs: {} },
    { inputs: [floats([2, 4], [1000, 1000.5, -1000, 999, -3e4, -3e4, -2.5e4, -2.9e4])], attrs: {} },
  ],
};

export const softmax = (x: Value): Value => call(softmaxOp, [x], {});
