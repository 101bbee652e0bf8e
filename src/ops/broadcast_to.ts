// Repeats axes of length 1 and adds leading axes, up to a shape: what the gradient of reduce_sum is made of.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { broadcastShapes, type Shape, sameShape, type TensorType, typeName } from '../graph/types.ts';
import { arity, expect, normal } from './checks.ts';

export const broadcastToOp: OpDef<{ shape: Shape }> = {
  name: 'broadcast_to',
  infer(inputs, { shape }) {
    arity(inputs, 1);
    const x = inputs[0] as TensorType;
    const joint = broadcastShapes(x.shape, shape);
    expect(
      joint !== null && sameShape(joint, shape),
      `a shape that broadcasts to [${shape.join(',')}], got ${typeName(x)}`,
    );
    return [{ dtype: x.dtype, shape }];
  },
  flops: () => 0,
  samples: [
    { inputs: [normal(3, 1)], attrs: { shape: [2, 3, 4] } },
    { inputs: [normal()], attrs: { shape: [5] } },
  ],
};

export const broadcastTo = (x: Value, shape: Shape): Value =>
  sameShape(x.shape, shape) ? x : call(broadcastToOp, [x], { shape: [...shape] });
