// The factor of inverted dropout (Srivastava et al. 2014): 0 with probability p, else 1/(1−p). Counter-based: with
// k = mix32(tick ^ key), element i is kept when mix32(i·0x9e3779b9 + k) ≥ ⌊p·2³²⌋, so every backend and a resumed run
// draw the same mask.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { type Shape, sizeOf } from '../graph/types.ts';
import { arity, expect, expectInts, ints } from './checks.ts';

type DropoutAttrs = { shape: Shape; p: number; key: number };

export const dropoutMaskOp: OpDef<DropoutAttrs> = {
  name: 'dropout_mask',
  infer(inputs, { shape, p }) {
    arity(inputs, 1);
    expectInts(inputs[0]!, [], 'tick');
    expect(p > 0 && p < 1, `a probability above 0 and below 1, got ${p}`);
    return [{ dtype: 'f32', shape }];
  },
  flops: (_inputs, [out]) => 8 * sizeOf(out!.shape),
  samples: [
    { inputs: [ints([], [7])], attrs: { shape: [16, 33], p: 0.25, key: 0xdeadbeef } },
    { inputs: [ints([], [-1])], attrs: { shape: [5], p: 0.5, key: 1 } },
  ],
};

export const dropoutMask = (tick: Value, attrs: DropoutAttrs): Value => call(dropoutMaskOp, [tick], attrs);
