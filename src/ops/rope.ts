// Rotary position embedding (Su et al. 2021), rotate-half form: dimensions i and i + d/2 turn by the angle i.
// x [T, heads, d], cos and sin [T, d/2], f32 or x's dtype; `inverse` turns back, which is also the gradient.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { cast } from './cast.ts';
import { arity, dims, expect, expectShape, normal, wide } from './checks.ts';
import { concat } from './concat.ts';
import { mul } from './mul.ts';
import { reshape } from './reshape.ts';
import { sliceAxis } from './slice.ts';
import { sub } from './sub.ts';

export const ropeOp: OpDef<{ inverse: boolean }> = {
  name: 'rope',
  infer(inputs) {
    arity(inputs, 3);
    const [x, cos, sin] = inputs as [TensorType, TensorType, TensorType];
    const [tokens, , width] = dims(x, 3, 'x') as [number, number, number];
    expect(width % 2 === 0, `an even head dimension, got ${width}`);
    expectShape(cos, [tokens, width / 2], 'cos');
    expectShape(sin, [tokens, width / 2], 'sin');
    return [x];
  },
  decompose([x, cos, sin], { inverse }) {
    const [tokens, , width] = x!.shape as [number, number, number];
    const half = width / 2;
    const c = reshape(cast(cos!, x!.dtype), [tokens, 1, half]);
    const s = reshape(cast(sin!, x!.dtype), [tokens, 1, half]);
    const a = sliceAxis(x!, 2, 0, half);
    const b = sliceAxis(x!, 2, half, width);
    const first = inverse ? add(mul(a, c), mul(b, s)) : sub(mul(a, c), mul(b, s));
    const second = inverse ? sub(mul(b, c), mul(a, s)) : add(mul(b, c), mul(a, s));
    return [concat([first, second], 2)];
  },
  vjp: ({ inputs: [, cos, sin], grads: [grad], attrs: { inverse } }) => [rope(grad!, cos!, sin!, !inverse), null, null],
  flops: ([x]) => 3 * sizeOf(x!.shape),
  samples: [
    { inputs: [normal(3, 2, 8), normal(3, 4), normal(3, 4)], attrs: { inverse: false }, noGrad: [1, 2] },
    // Tables may stay f32 beside a narrower x.
    { inputs: [normal(1, 1, 6), wide(normal(1, 3)), wide(normal(1, 3))], attrs: { inverse: true }, noGrad: [1, 2] },
    { inputs: [normal(7, 3, 10), wide(normal(7, 5)), wide(normal(7, 5))], attrs: { inverse: false }, noGrad: [1, 2] },
  ],
};

/** The tables are data and get no gradient. */
export const rope = (x: Value, cos: Value, sin: Value, inverse = false): Value =>
  call(ropeOp, [x, cos, sin], { inverse });
