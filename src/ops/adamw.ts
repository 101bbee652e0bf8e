// One AdamW update (Loshchilov & Hutter 2019) as torch.optim.AdamW does it. scale is the clipping coefficient; when it
// is not finite nothing changes. c1 and c2 are the bias corrections 1 − βᵗ.
// p, g, m, v of one shape; lr, scale, c1, c2 f32 [] → p', m', v'.
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { arity, expectShape, floats, normal, positive, wide } from './checks.ts';
import { div } from './div.ts';
import { literal } from './elementwise.ts';
import { finite } from './is_finite.ts';
import { mul } from './mul.ts';
import { select } from './select.ts';
import { sqrt } from './sqrt.ts';
import { sub } from './sub.ts';

export type AdamWAttrs = { beta1: number; beta2: number; eps: number; weightDecay: number };

export const adamwOp: OpDef<AdamWAttrs> = {
  name: 'adamw',
  infer(inputs) {
    arity(inputs, 8);
    const [p, g, m, v, ...scalars] = inputs as TensorType[];
    for (const [i, x] of [g!, m!, v!].entries()) expectShape(x, p!.shape, ['g', 'm', 'v'][i]!);
    for (const [i, x] of scalars.entries()) expectShape(x, [], ['lr', 'scale', 'c1', 'c2'][i]!);
    return [p!, m!, v!];
  },
  decompose([p, g, m, v, lr, scale, c1, c2], { beta1, beta2, eps, weightDecay }) {
    const k = (x: number) => literal(p!, x);
    const grad = mul(g!, scale!);
    const m1 = add(mul(m!, k(beta1)), mul(grad, k(1 - beta1)));
    const v1 = add(mul(v!, k(beta2)), mul(mul(grad, grad), k(1 - beta2)));
    const denominator = add(div(sqrt(v1), sqrt(c2!)), k(eps));
    const decayed = weightDecay ? mul(p!, sub(k(1), mul(lr!, k(weightDecay)))) : p!;
    const p1 = sub(decayed, mul(div(lr!, c1!), div(m1, denominator)));
    const ok = finite(scale!);
    return [select(ok, p1, p!), select(ok, m1, m!), select(ok, v1, v!)];
  },
  flops: ([p]) => 14 * sizeOf(p!.shape),
  // No clip and a clip that is not finite, with decay and without, and an eps that shows where it is added.
  samples: [
    { scale: 0.7, weightDecay: 0, eps: 1e-8 },
    { scale: 0.7, weightDecay: 0.01, eps: 1e-8 },
    { scale: Number.NaN, weightDecay: 0, eps: 1e-8 },
    { scale: Number.POSITIVE_INFINITY, weightDecay: 0.01, eps: 1e-8 },
    { scale: 1, weightDecay: 0.01, eps: 0.5 },
  ].map(({ scale, ...attrs }) => ({
    inputs: [
      normal(3, 5),
      normal(3, 5),
      normal(3, 5),
      positive(3, 5),
      ...[1e-2, scale, 0.1, 0.001].map((x) => floats([], [x])),
    ].map(wide),
    attrs: { beta1: 0.9, beta2: 0.999, ...attrs },
  })),
};

export interface AdamWInputs {
  p: Value;
  g: Value;
  m: Value;
  v: Value;
  lr: Value;
  scale: Value;
  c1: Value;
  c2: Value;
}

export const adamw = (
  { p, g, m, v, lr, scale, c1, c2 }: AdamWInputs,
  attrs: AdamWAttrs,
): readonly [Value, Value, Value] =>
  p.graph.apply(adamwOp, [p, g, m, v, lr, scale, c1, c2], attrs) as readonly [Value, Value, Value];
