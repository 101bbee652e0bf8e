// Element types, static shapes and the typed arrays that hold tensors on the host.

/** u8 is what bytes come in as: see rule 7 of the verifier. */
export type DType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'bool';
/** What programs compute in. */
export type Precision = Extract<DType, 'f32' | 'bf16'>;
export type Shape = readonly number[];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Host storage: f32 → Float32Array, i32 → Int32Array, u8 and bool → Uint8Array, bf16 and f16 → their bits. */
export type HostArray = Float32Array | Int32Array | Uint8Array | Uint16Array;

const BYTES: Record<DType, number> = { f32: 4, bf16: 2, f16: 2, i32: 4, u8: 1, bool: 1 };

export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
export const sizeOf = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);
export const bytesOf = (type: TensorType): number => sizeOf(type.shape) * BYTES[type.dtype];
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);
export const typeName = (type: TensorType): string => `${type.dtype}[${type.shape.join(',')}]`;

/** Zero-filled host storage for a type. */
export function hostArray(type: TensorType): HostArray {
  const size = sizeOf(type.shape);
  if (type.dtype === 'f32') return new Float32Array(size);
  if (type.dtype === 'i32') return new Int32Array(size);
  return BYTES[type.dtype] === 1 ? new Uint8Array(size) : new Uint16Array(size);
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i] as number;
  }
  return strides;
}

/** The shape two operands broadcast to, right-aligned as in NumPy; null when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): number[] | null {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const m = a[a.length - i] ?? 1;
    const n = b[b.length - i] ?? 1;
    if (m !== n && m !== 1 && n !== 1) return null;
    out[rank - i] = m === 1 ? n : m;
  }
  return out;
}
