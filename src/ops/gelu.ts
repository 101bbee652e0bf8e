// Gaussian error linear unit (Hendrycks & Gimpel 2016): 'erf' is x·Φ(x), 'quick' is x·σ(1.702x).
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { arity, normal } from './checks.ts';
import { literal } from './elementwise.ts';
import { erf } from './erf.ts';
import { type GeluKind, geluGrad } from './gelu_grad.ts';
import { mul } from './mul.ts';
import { sigmoid } from './sigmoid.ts';

export const geluOp: OpDef<{ kind: GeluKind }> = {
  name: 'gelu',
  infer(inputs) {
    arity(inputs, 1);
    return [inputs[0] as TensorType];
  },
  decompose([x], { kind }) {
    if (kind === 'quick') return [mul(x!, sigmoid(mul(x!, literal(x!, 1.702))))];
    const tail = add(erf(mul(x!, literal(x!, Math.SQRT1_2))), literal(x!, 1));
    return [mul(mul(x!, literal(x!, 0.5)), tail)];
  },
  vjp: ({ inputs: [x], grads: [dy], attrs: { kind } }) => [geluGrad(dy!, x!, kind)],
  flops: ([x]) => 8 * sizeOf(x!.shape),
  samples: [
    { inputs: [normal(3, 8)], attrs: { kind: 'erf' } },
    { inputs: [normal(3, 8)], attrs: { kind: 'quick' } },
  ],
};

export const gelu = (x: Value, kind: GeluKind): Value => call(geluOp, [x], { kind });
