// Layer normalisation (Ba et al. 2016) over the last axis, statistics in float32: y = (x − mean)·rstd·w + b.
// Also gives mean and rstd [T, 1] for the gradient.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { cast } from './cast.ts';
import { arity, dims, expectShape, normal } from './checks.ts';
import { div } from './div.ts';
import { literal } from './elementwise.ts';
import { layerNormGrad } from './layer_norm_grad.ts';
import { mul } from './mul.ts';
import { reduceSum } from './reduce_sum.ts';
import { sqrt } from './sqrt.ts';
import { sub } from './sub.ts';

export const layerNormOp: OpDef<{ eps: number }> = {
  name: 'layer_norm',
  infer(inputs) {
    arity(inputs, 3);
    const [x, w, b] = inputs as [TensorType, TensorType, TensorType];
    const [tokens, hidden] = dims(x, 2, 'x');
    expectShape(w, [hidden!], 'weight');
    expectShape(b, [hidden!], 'bias');
    const row: TensorType = { dtype: 'f32', shape: [tokens!, 1] };
    return [x, row, row];
  },
  decompose([x, w, b], { eps }) {
    const x32 = cast(x!, 'f32');
    const share = literal(x32, 1 / x!.shape[1]!);
    const mean = mul(reduceSum(x32, [1], true), share);
    const centred = sub(x32, mean);
    const variance = mul(reduceSum(mul(centred, centred), [1], true), share);
    const rstd = div(literal(variance, 1), sqrt(add(variance, literal(variance, eps))));
    const y = add(mul(mul(centred, rstd), cast(w!, 'f32')), cast(b!, 'f32'));
    return [cast(y, x!.dtype), mean, rstd];
  },
  vjp({ inputs: [x, w, b], outputs: [, mean, rstd], grads: [dy], needs }) {
    const [dx, dw, db] = layerNormGrad(dy!, x!, w!, mean!, rstd!);
    return [needs[0] ? dx : null, needs[1] ? dw : null, needs[2] ? cast(db, b!.dtype) : null];
  },
  flops: ([x]) => 8 * sizeOf(x!.shape),
  samples: [
    { inputs: [normal(3, 8), normal(8), normal(8)], attrs: { eps: 1e-6 } },
    { inputs: [normal(1, 5), normal(5), normal(5)], attrs: { eps: 1e-5 } },
    { inputs: [normal(5, 1), normal(1), normal(1)], attrs: { eps: 1e-6 } },
    { inputs: [normal(2, 257), normal(257), normal(257)], attrs: { eps: 1e-6 }, noGrad: [0] },
  ],
};

/** x [T, H], w [H], b [H] → y [T, H]. */
export const layerNorm = (x: Value, w: Value, b: Value, eps: number): Value => call(layerNormOp, [x, w, b], { eps });
