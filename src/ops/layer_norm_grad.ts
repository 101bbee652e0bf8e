// Gradients of layer_norm: (dy, x, w, mean, rstd) → dx [T, H], dw [H], db [H].
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { cast } from './cast.ts';
import { arity, dims, normal, positive, wide } from './checks.ts';
import { literal } from './elementwise.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';
import { sub } from './sub.ts';

export const layerNormGradOp: OpDef = {
  name: 'layer_norm_grad',
  infer(inputs) {
    arity(inputs, 5);
    const [, x, w] = inputs as [TensorType, TensorType, TensorType];
    dims(x, 2, 'x');
    return [x, w, w];
  },
  decompose([dy, x, w, mean, rstd]) {
    const grad = cast(dy!, 'f32');
    const normalised = mul(sub(cast(x!, 'f32'), mean!), rstd!);
    const g = mul(grad, cast(w!, 'f32'));
    const share = literal(g, 1 / x!.shape[1]!);
    const gMean = mul(reduceSum(g, [1], true), share);
    const projected = mul(reduceSum(mul(g, normalised), [1], true), share);
    const dx = mul(rstd!, sub(sub(g, gMean), mul(normalised, projected)));
    const dw = reduceSum(mul(grad, normalised), [0]);
    return [cast(dx, x!.dtype), cast(dw, w!.dtype), cast(reduceSum(grad, [0]), w!.dtype)];
  },
  flops: ([x]) => 11 * sizeOf(x!.shape),
  samples: [{ inputs: [normal(3, 8), normal(3, 8), normal(8), wide(normal(3, 1)), wide(positive(3, 1))], attrs: {} }],
};

export const layerNormGrad = (
  dy: Value,
  x: Value,
  w: Value,
  mean: Value,
  rstd: Value,
): readonly [Value, Value, Value] =>
  dy.graph.apply(layerNormGradOp, [dy, x, w, mean, rstd], {}) as readonly [Value, Value, Value];
