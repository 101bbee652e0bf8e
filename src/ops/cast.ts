// Conversion between element types; to i32 it truncates toward zero. A cast to the same type is no node. Bytes (u8) come
// into programs by it, and none leave.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { type DType, isFloat, type TensorType } from '../graph/types.ts';
import { arity, bools, bytes, expect, floats, ints, normal } from './checks.ts';

export const castOp: OpDef<{ to: DType }> = {
  name: 'cast',
  infer(inputs, { to }) {
    arity(inputs, 1);
    expect(to !== 'u8', 'a type to compute in, got u8');
    return [{ dtype: to, shape: (inputs[0] as TensorType).shape }];
  },
  vjp({ inputs: [x], grads: [grad] }) {
    return [isFloat(x!.dtype) && isFloat(grad!.dtype) ? cast(grad!, x!.dtype) : null];
  },
  readsBytes: true,
  samples: [
    { inputs: [normal(3, 4)], attrs: { to: 'f32' } },
    { inputs: [normal(33)], attrs: { to: 'bf16' }, noGrad: [0] },
    // Halves between two neighbours go to the even one, small ones to zero or a subnormal, large ones to infinity.
    { inputs: [floats([6], [2049, 2051, 257, 3e-8, 1e-7, 7e4])], attrs: { to: 'f16' }, noGrad: [0] },
    { inputs: [ints([3], [-1, 0, 5])], attrs: { to: 'f32' } },
    { inputs: [bools([2], [0, 1])], attrs: { to: 'f32' } },
    { inputs: [bytes([2, 3], [0, 1, 127, 128, 254, 255])], attrs: { to: 'f32' } },
    {
      inputs: [
        bytes(
          [16],
          Array.from({ length: 16 }, (_, i) => 17 * i),
        ),
      ],
      attrs: { to: 'bf16' },
    },
    { inputs: [bytes([0], [])], attrs: { to: 'f32' } },
    { inputs: [bytes([2], [0, 255])], attrs: { to: 'i32' } },
    { inputs: [floats([3], [-1.7, 0.2, 3.9])], attrs: { to: 'i32' }, noGrad: [0] },
  ],
};

export const cast = (x: Value, to: DType): Value => (x.dtype === to ? x : call(castOp, [x], { to }));
