// Conversions between float32 and the 16-bit float formats, rounding to nearest even.

const bitsOf = (data: Float32Array): Uint32Array => new Uint32Array(data.buffer, data.byteOffset, data.length);

export function bf16ToF32(halves: Uint16Array): Float32Array {
  const out = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = (halves[i] as number) << 16;
  return new Float32Array(out.buffer);
}

export function f32ToBf16(data: Float32Array): Uint16Array {
  const bits = bitsOf(data);
  const out = new Uint16Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const x = bits[i] as number;
    // NaN stays NaN: rounding could carry its payload into infinity.
    out[i] = (x & 0x7fffffff) > 0x7f800000 ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** All 65,536 halves as floats. */
let f16Table: Float32Array | null = null;

function halves(): Float32Array {
  if (f16Table) return f16Table;
  const table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 31) table[h] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else if (exponent === 0) table[h] = sign * fraction * 2 ** -24;
    else table[h] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  f16Table = table;
  return table;
}

export function f16ToF32(data: Uint16Array): Float32Array {
  const table = halves();
  return Float32Array.from(data, (h) => table[h] as number);
}

export function f32ToF16(data: Float32Array): Uint16Array {
  return Uint16Array.from(data, (x) => {
    const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
    const a = Math.abs(x);
    if (Number.isNaN(x)) return 0x7e00;
    if (a >= 65520) return sign | 0x7c00;
    if (a < 2 ** -14) return sign | roundEven(a * 2 ** 24);
    const exponent = Math.floor(Math.log2(a));
    // A fraction that rounds up to 1024 carries into the exponent, as it should.
    return sign | (((exponent + 15) << 10) + roundEven((a / 2 ** exponent - 1) * 1024));
  });
}

/** The nearest whole number, ties to even. */
export function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Values of a float tensor in any of its formats. */
export function toFloat32(dtype: 'f32' | 'bf16' | 'f16', data: Float32Array | Uint16Array): Float32Array {
  if (dtype === 'f32') return data as Float32Array;
  return dtype === 'bf16' ? bf16ToF32(data as Uint16Array) : f16ToF32(data as Uint16Array);
}
