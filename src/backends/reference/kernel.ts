// What the kernels of the oracle share: their type, the walk over strided boxes, and the rounding of narrow floats.
import type { Attrs, OpDef } from '../../graph/graph.ts';
import { type DType, isFloat, type Shape, sameShape, sizeOf, stridesOf, type TensorType } from '../../graph/types.ts';
import type { OpName, ops } from '../../ops/index.ts';

/** Values of a tensor: every float in float64, i32 as Int32Array, u8 and bool as Uint8Array. */
export type Data = Float64Array | Int32Array | Uint8Array;

export interface Tensor {
  readonly type: TensorType;
  readonly data: Data;
}

export type Kernel<A extends Attrs = Attrs> = (
  inputs: readonly Tensor[],
  attrs: A,
  outputs: readonly TensorType[],
) => Data[];

type AttrsOf<D> = D extends OpDef<infer A> ? A : never;

/** One kernel for each of the named ops, typed by the op's attributes. */
export type Kernels<Names extends OpName = OpName> = { readonly [N in Names]: Kernel<AttrsOf<(typeof ops)[N]>> };

export function zeros(type: TensorType): Data {
  const size = sizeOf(type.shape);
  if (isFloat(type.dtype)) return new Float64Array(size);
  return type.dtype === 'i32' ? new Int32Array(size) : new Uint8Array(size);
}

/** The floats of a tensor that the op's shape inference has let through as floats. */
export function floats(tensor: Tensor | undefined): Float64Array {
  if (tensor?.data instanceof Float64Array) return tensor.data;
  throw new Error(`reference: expected floats, got ${tensor?.type.dtype}`);
}

/** Calls visit(index in a, index in b) for every position of a box that two tensors view by strides and an offset. */
export function walk(
  shape: Shape,
  a: { strides: Shape; offset?: number },
  b: { strides: Shape; offset?: number },
  visit: (i: number, j: number) => void,
): void {
  const step = (axis: number, i: number, j: number): void => {
    if (axis === shape.length) {
      visit(i, j);
      return;
    }
    for (let n = 0; n < (shape[axis] as number); n++)
      step(axis + 1, i + n * (a.strides[axis] as number), j + n * (b.strides[axis] as number));
  };
  step(0, a.offset ?? 0, b.offset ?? 0);
}

/** A tensor's elements repeated up to a shape, as broadcasting repeats them. */
export function expand(tensor: Tensor, shape: Shape): Data {
  const from = tensor.type.shape;
  if (sameShape(from, shape)) return tensor.data;
  const own = stridesOf(from);
  const lead = shape.length - from.length;
  const strides = shape.map((n, i) => (i < lead || (from[i - lead] === 1 && n !== 1) ? 0 : (own[i - lead] as number)));
  const out = zeros({ dtype: tensor.type.dtype, shape });
  walk(shape, { strides: stridesOf(shape) }, { strides }, (i, j) => {
    out[i] = tensor.data[j] as number;
  });
  return out;
}

/** Explicit mantissa bits, lowest normal exponent and largest finite value of the narrow formats. */
const NARROW = {
  bf16: { bits: 7, low: -126, max: (2 - 2 ** -7) * 2 ** 127 },
  f16: { bits: 10, low: -14, max: 65504 },
} as const;

/** The nearest value of a format, ties to even; f32 stays as it is. */
export function roundTo(dtype: DType, x: number): number {
  if ((dtype !== 'bf16' && dtype !== 'f16') || x === 0 || !Number.isFinite(x)) return x;
  const { bits, low, max } = NARROW[dtype];
  let exponent = Math.floor(Math.log2(Math.abs(x)));
  // log2 may land on the wrong side of a power of two.
  if (2 ** exponent > Math.abs(x)) exponent--;
  else if (2 ** (exponent + 1) <= Math.abs(x)) exponent++;
  const unit = 2 ** (Math.max(exponent, low) - bits);
  const scaled = x / unit;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const whole = rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
  const rounded = whole * unit;
  if (Math.abs(rounded) > max) return Math.sign(x) * Number.POSITIVE_INFINITY;
  return rounded === 0 && x < 0 ? -0 : rounded;
}
