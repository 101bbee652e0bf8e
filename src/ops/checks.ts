// Shape checks with uniform messages, and sample builders, shared by the op files.
import type { SampleInput, Value } from '../graph/graph.ts';
import { type Shape, sameShape, type TensorType, typeName } from '../graph/types.ts';

/** Throws what was expected unless the condition holds. */
export function expect(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new Error(`expected ${expected}`);
}

export function arity(inputs: readonly TensorType[], count: number): void {
  expect(inputs.length === count, `${count} inputs, got ${inputs.length}`);
}

export function expectShape(type: TensorType, shape: Shape, what: string): void {
  expect(sameShape(type.shape, shape), `${what} of shape [${shape.join(',')}], got ${typeName(type)}`);
}

export function expectInts(type: TensorType, shape: Shape, what: string): void {
  expect(type.dtype === 'i32', `${what} of dtype i32, got ${typeName(type)}`);
  expectShape(type, shape, what);
}

/** The dimensions of a tensor of known rank. */
export function dims(type: TensorType | Value, rank: number, what: string): number[] {
  expect(type.shape.length === rank, `${what} of rank ${rank}, got [${type.shape.join(',')}]`);
  return [...type.shape];
}

/** Sample inputs. */
export const normal = (...shape: number[]): SampleInput => ({ dtype: 'f32', shape, data: 'normal' });
export const positive = (...shape: number[]): SampleInput => ({ dtype: 'f32', shape, data: 'positive' });
export const floats = (shape: number[], data: number[]): SampleInput => ({ dtype: 'f32', shape, data });
export const ints = (shape: number[], data: number[]): SampleInput => ({ dtype: 'i32', shape, data });
export const bytes = (shape: number[], data: number[]): SampleInput => ({ dtype: 'u8', shape, data });
export const bools = (shape: number[], data: number[]): SampleInput => ({ dtype: 'bool', shape, data });

export const wide = (input: SampleInput): SampleInput => ({ ...input, wide: true });

/** An axis list, checked and in rising order. */
export function checkAxes(axes: readonly number[], rank: number): void {
  expect(
    axes.every((axis, i) => axis >= 0 && axis < rank && (i === 0 || axis > (axes[i - 1] as number))),
    `rising axes below ${rank}, got [${axes.join(',')}]`,
  );
}
