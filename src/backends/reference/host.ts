// Between host storage (f32, i32, u8, bool, and the bits of bf16 and f16) and the oracle's float64 values.
import { type HostArray, hostArray, isFloat, sizeOf, type TensorType, typeName } from '../../graph/types.ts';
import { type Data, roundTo } from './kernel.ts';

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

function toHalf(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const rounded = Math.abs(roundTo('f16', x));
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  if (rounded === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (rounded < 2 ** -14) return sign | (rounded * 2 ** 24);
  const exponent = Math.floor(Math.log2(rounded));
  return sign | ((exponent + 15) << 10) | ((rounded / 2 ** exponent - 1) * 1024);
}

function fromBrain(bits: number): number {
  wordBits[0] = (bits << 16) >>> 0;
  return word[0]!;
}

function toBrain(x: number): number {
  word[0] = roundTo('bf16', x);
  return wordBits[0]! >>> 16;
}

/** The values of host storage; a copy. */
export function fromHost({ dtype }: TensorType, data: HostArray): Data {
  if (dtype === 'f32') return Float64Array.from(data);
  if (dtype === 'i32') return Int32Array.from(data);
  if (dtype === 'u8' || dtype === 'bool') return Uint8Array.from(data);
  return Float64Array.from(data, dtype === 'f16' ? fromHalf : fromBrain);
}

/** Host storage of values; a copy. */
export function toHost(type: TensorType, data: Data): HostArray {
  const out = hostArray(type);
  const narrow = type.dtype === 'f16' ? toHalf : type.dtype === 'bf16' ? toBrain : null;
  for (let i = 0; i < out.length; i++) out[i] = narrow ? narrow(data[i]!) : data[i]!;
  return out;
}

/** Checks the length and the kind of array given for a tensor; `wide` allows float64 values for floats. */
export function checkData(what: string, type: TensorType, data: HostArray | Data | undefined, wide = false): void {
  const expected =
    wide && isFloat(type.dtype) ? Float64Array : hostArray({ dtype: type.dtype, shape: [0] }).constructor;
  if (data?.length === sizeOf(type.shape) && data.constructor === expected) return;
  const got = data ? `${data.constructor.name} of ${data.length}` : 'nothing';
  throw new Error(`${what}: expected ${typeName(type)}, got ${got}`);
}
