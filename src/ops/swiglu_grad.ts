// Gradients of swiglu: (dy, gate, up) → dgate, dup.
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { arity, normal } from './checks.ts';
import { literal } from './elementwise.ts';
import { mul } from './mul.ts';
import { sigmoid } from './sigmoid.ts';
import { sub } from './sub.ts';

export const swigluGradOp: OpDef = {
  name: 'swiglu_grad',
  infer(inputs) {
    arity(inputs, 3);
    const [, gate, up] = inputs as [TensorType, TensorType, TensorType];
    return [gate, up];
  },
  decompose([dy, gate, up]) {
    const one = literal(gate!, 1);
    const s = sigmoid(gate!);
    const silu = mul(gate!, s);
    // d silu = s·(1 + g·(1 − s)) = s + silu·(1 − s)
    return [mul(mul(dy!, up!), add(s, mul(silu, sub(one, s)))), mul(dy!, silu)];
  },
  flops: ([x]) => 10 * sizeOf(x!.shape),
  samples: [{ inputs: [normal(3, 8), normal(3, 8), normal(3, 8)], attrs: {} }],
};

export const swigluGrad = (dy: Value, gate: Value, up: Value): readonly [Value, Value] =>
  dy.graph.apply(swigluGradOp, [dy, gate, up], {}) as readonly [Value, Value];
