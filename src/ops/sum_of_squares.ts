// The sum of the squares of all elements of all inputs, f32 []: the square of their global norm.
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf } from '../graph/types.ts';
import { add } from './add.ts';
import { expect, normal, wide } from './checks.ts';
import { literal } from './elementwise.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';

export const sumOfSquaresOp: OpDef = {
  name: 'sum_of_squares',
  infer(inputs) {
    expect(inputs.length > 0, 'at least one input');
    expect(
      inputs.every(({ dtype }) => dtype === 'f32'),
      `float32 inputs, got ${inputs.map(({ dtype }) => dtype).join(', ')}`,
    );
    return [{ dtype: 'f32', shape: [] }];
  },
  decompose(inputs) {
    const squares = inputs.map((x) =>
      reduceSum(
        mul(x, x),
        x.shape.map((_, i) => i),
      ),
    );
    return [squares.reduce((sum, s) => add(sum, s))];
  },
  vjp: ({ inputs, grads: [grad], needs }) =>
    inputs.map((x, i) => (needs[i] ? mul(x, mul(grad!, literal(grad!, 2))) : null)),
  flops: (inputs) => 2 * inputs.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  samples: [
    { inputs: [normal(3, 5), normal(7), normal(2, 2, 2)].map(wide), attrs: {} },
    { inputs: [wide(normal(1))], attrs: {} },
  ],
};

export const sumOfSquares = (inputs: readonly Value[]): Value =>
  inputs[0]!.graph.apply(sumOfSquaresOp, inputs, {})[0] as Value;
