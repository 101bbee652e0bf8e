// The gate of a SwiGLU block (Shazeer 2020): silu(gate) · up.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { arity, expectShape, normal } from './checks.ts';
import { mul } from './mul.ts';
import { sigmoid } from './sigmoid.ts';
import { swigluGrad } from './swiglu_grad.ts';

export const swigluOp: OpDef = {
  name: 'swiglu',
  infer(inputs) {
    arity(inputs, 2);
    const [gate, up] = inputs as [TensorType, TensorType];
    expectShape(up, gate.shape, 'up');
    return [gate];
  },
  decompose: ([gate, up]) => [mul(mul(gate!, sigmoid(gate!)), up!)],
  vjp: ({ inputs: [gate, up], grads: [dy] }) => [...swigluGrad(dy!, gate!, up!)],
  flops: ([x]) => 6 * sizeOf(x!.shape),
  samples: [{ inputs: [normal(3, 8), normal(3, 8)], attrs: {} }],
};

export const swiglu = (gate: Value, up: Value): Value => call(swigluOp, [gate, up], {});
