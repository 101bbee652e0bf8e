// The same elements in row-major order under another shape.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { type Shape, sameShape, sizeOf, type TensorType, typeName } from '../graph/types.ts';
import { arity, expect, normal } from './checks.ts';

export const reshapeOp: OpDef<{ shape: Shape }> = {
  name: 'reshape',
  infer(inputs, { shape }) {
    arity(inputs, 1);
    const x = inputs[0] as TensorType;
    expect(sizeOf(x.shape) === sizeOf(shape), `as many elements as [${shape.join(',')}], got ${typeName(x)}`);
    return [{ dtype: x.dtype, shape }];
  },
  vjp: ({ inputs: [x], grads: [grad] }) => [reshape(grad!, x!.shape)],
  flops: () => 0,
  samples: [
    { inputs: [normal(3, 4)], attrs: { shape: [2, 6] } },
    { inputs: [normal(1)], attrs: { shape: [] } },
    { inputs: [normal(0, 4)], attrs: { shape: [2, 0] } },
  ],
};

export const reshape = (x: Value, shape: Shape): Value =>
  sameShape(x.shape, shape) ? x : call(reshapeOp, [x], { shape: [...shape] });
