// The maximum over some axes; equal maxima share the gradient.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { cast } from './cast.ts';
import { normal } from './checks.ts';
import { div } from './div.ts';
import { equal } from './equal.ts';
import { mul } from './mul.ts';
import { inferReduction, keptShape, type ReductionAttrs, reduceSum } from './reduce_sum.ts';
import { reshape } from './reshape.ts';

export const reduceMaxOp: OpDef<ReductionAttrs> = {
  name: 'reduce_max',
  infer: inferReduction,
  vjp({ inputs: [x], outputs: [out], grads: [grad], attrs: { axes } }) {
    const kept = keptShape(x!.shape, axes);
    const hit = cast(equal(x!, reshape(out!, kept)), x!.dtype);
    return [mul(div(hit, reduceSum(hit, axes, true)), reshape(grad!, kept))];
  },
  flops: ([x]) => sizeOf((x as TensorType).shape),
  samples: [
    { inputs: [normal(3, 4, 5)], attrs: { axes: [1], keep: false } },
    { inputs: [normal(3, 4)], attrs: { axes: [0, 1], keep: true } },
    { inputs: [normal(1, 6)], attrs: { axes: [0], keep: false } },
  ],
};

export const reduceMax = (x: Value, axes: readonly number[], keep = false): Value =>
  call(reduceMaxOp, [x], { axes, keep });
