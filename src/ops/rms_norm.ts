// Root-mean-square normalisation (Zhang & Sennrich 2019): y = x · rsqrt(mean(x²) + eps) · w, statistics in float32,
// rounded to x's dtype before the weight as Qwen2 does. Also gives rstd [T, 1] for the gradient.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { cast } from './cast.ts';
import { arity, dims, expectShape, normal } from './checks.ts';
import { div } from './div.ts';
import { literal } from './elementwise.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';
import { rmsNormGrad } from './rms_norm_grad.ts';
import { sqrt } from './sqrt.ts';

export const rmsNormOp: OpDef<{ eps: number }> = {
  name: 'rms_norm',
  infer(inputs) {
    arity(inputs, 2);
    const [x, w] = inputs as [TensorType, TensorType];
    const [tokens, hidden] = dims(x, 2, 'x');
    expectShape(w, [hidden!], 'weight');
    return [x, { dtype: 'f32', shape: [tokens!, 1] }];
  },
  decompose([x, w], { eps }) {
    const x32 = cast(x!, 'f32');
    const mean = mul(reduceSum(mul(x32, x32), [1], true), literal(x32, 1 / x!.shape[1]!));
    const rstd = div(literal(mean, 1), sqrt(add(mean, literal(mean, eps))));
    return [mul(cast(mul(x32, rstd), x!.dtype), cast(w!, x!.dtype)), rstd];
  },
  vjp({ inputs: [x, w], outputs: [, rstd], grads: [dy], needs }) {
    const [dx, dw] = rmsNormGrad(dy!, x!, w!, rstd!);
    return [needs[0] ? dx : null, needs[1] ? dw : null];
  },
  flops: ([x]) => 5 * sizeOf(x!.shape),
  samples: [
    { inputs: [normal(3, 8), normal(8)], attrs: { eps: 1e-6 } },
    { inputs: [normal(1, 33), normal(33)], attrs: { eps: 1e-5 } },
    // One element: x / |x|, whose slope is nothing but the eps.
    { inputs: [normal(5, 1), normal(1)], attrs: { eps: 1e-6 }, noGrad: [0] },
    { inputs: [normal(2, 257), normal(257)], attrs: { eps: 1e-6 }, noGrad: [0] },
  ],
};

/** x [T, H], w [H] → y [T, H]. */
export const rmsNorm = (x: Value, w: Value, eps: number): Value => call(rmsNormOp, [x, w], { eps });
