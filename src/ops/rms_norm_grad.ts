// Gradients of rms_norm: (dy, x, w, rstd) → dx [T, H], dw [H].
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { cast } from './cast.ts';
import { arity, dims, normal, positive, wide } from './checks.ts';
import { literal } from './elementwise.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';
import { sub } from './sub.ts';

export const rmsNormGradOp: OpDef = {
  name: 'rms_norm_grad',
  infer(inputs) {
    arity(inputs, 4);
    const [, x, w] = inputs as [TensorType, TensorType, TensorType];
    dims(x, 2, 'x');
    return [x, w];
  },
  decompose([dy, x, w, rstd]) {
    const grad = cast(dy!, 'f32');
    const normalised = mul(cast(x!, 'f32'), rstd!);
    const g = mul(grad, cast(w!, 'f32'));
    const mean = mul(reduceSum(mul(g, normalised), [1], true), literal(g, 1 / x!.shape[1]!));
    const dx = mul(rstd!, sub(g, mul(normalised, mean)));
    return [cast(dx, x!.dtype), cast(reduceSum(mul(grad, normalised), [0]), w!.dtype)];
  },
  flops: ([x]) => 8 * sizeOf(x!.shape),
  samples: [{ inputs: [normal(3, 8), normal(3, 8), normal(8), wide(positive(3, 1))], attrs: {} }],
};

export const rmsNormGrad = (dy: Value, x: Value, w: Value, rstd: Value): readonly [Value, Value] =>
  dy.graph.apply(rmsNormGradOp, [dy, x, w, rstd], {}) as readonly [Value, Value];
