// Gradient of gelu: (dy, x) → dx.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { arity, normal } from './checks.ts';
import { literal } from './elementwise.ts';
import { erf } from './erf.ts';
import { exp } from './exp.ts';
import { mul } from './mul.ts';
import { sigmoid } from './sigmoid.ts';
import { sub } from './sub.ts';

export type GeluKind = 'erf' | 'quick';

export const geluGradOp: OpDef<{ kind: GeluKind }> = {
  name: 'gelu_grad',
  infer(inputs) {
    arity(inputs, 2);
    return [inputs[1] as TensorType];
  },
  decompose([dy, x], { kind }) {
    const one = literal(x!, 1);
    if (kind === 'quick') {
      const scaled = mul(x!, literal(x!, 1.702));
      const s = sigmoid(scaled);
      // d/dx x·σ(ax) = σ(ax)·(1 + ax·(1 − σ(ax)))
      return [mul(dy!, mul(s, add(one, mul(scaled, sub(one, s)))))];
    }
    const cdf = mul(add(erf(mul(x!, literal(x!, Math.SQRT1_2))), one), literal(x!, 0.5));
    const density = mul(exp(mul(mul(x!, x!), literal(x!, -0.5))), literal(x!, 1 / Math.sqrt(2 * Math.PI)));
    return [mul(dy!, add(cdf, mul(x!, density)))];
  },
  flops: ([x]) => 12 * sizeOf(x!.shape),
  samples: [
    { inputs: [normal(3, 8), normal(3, 8)], attrs: { kind: 'erf' } },
    { inputs: [normal(3, 8), normal(3, 8)], attrs: { kind: 'quick' } },
  ],
};

export const geluGrad = (dy: Value, x: Value, kind: GeluKind): Value => call(geluGradOp, [dy, x], { kind });
