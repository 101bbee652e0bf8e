// 16-bit floats against torch's rounding, and every half there and back.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, roundEven } from './half.ts';

const { halves } = JSON.parse(
  readFileSync(new URL('../../test/golden/processor/expected.json', import.meta.url), 'utf8'),
) as { halves: { f32: number[]; bf16: number[]; f16: number[] } };

test('rounding agrees with torch', () => {
  const values = new Float32Array(Uint32Array.from(halves.f32).buffer);
  expect(Array.from(f32ToBf16(values))).toEqual(halves.bf16);
  expect(Array.from(f32ToF16(values))).toEqual(halves.f16);
});

test('every half survives the way to float32 and back', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const number = (exponent: number) => all.filter((h) => (h & exponent) !== exponent);
  const f16 = number(0x7c00);
  expect(f32ToF16(f16ToF32(f16))).toEqual(f16);
  const bf16 = number(0x7f80);
  expect(f32ToBf16(bf16ToF32(bf16))).toEqual(bf16);
});

test('what is not a number stays so, and infinity too', () => {
  const odd = new Float32Array([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  expect(bf16ToF32(f32ToBf16(odd))).toEqual(odd);
  expect(f16ToF32(f32ToF16(odd))).toEqual(odd);
});

test('ties go to the even neighbour', () => {
  expect([0.5, 1.5, 2.5, 2.4, 2.6, 3].map(roundEven)).toEqual([0, 2, 2, 2, 3, 3]);
});
