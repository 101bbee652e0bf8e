// What elementwise ops share: their definitions by one call, literals, and gradients through broadcasting.
import type { OpDef, Sample, Value } from '../graph/graph.ts';
import { broadcastShapes, isFloat, type Shape, sameShape, type TensorType, typeName } from '../graph/types.ts';
import { cast } from './cast.ts';
import { arity, expect, ints, normal, positive } from './checks.ts';
import { reduceSum } from './reduce_sum.ts';
import { reshape } from './reshape.ts';

/** Sums a gradient over the axes that broadcasting had repeated. */
export function unbroadcast(grad: Value, shape: Shape): Value {
  if (sameShape(grad.shape, shape)) return grad;
  const lead = grad.shape.length - shape.length;
  const axes = grad.shape.flatMap((n, i) => (i < lead || (shape[i - lead] === 1 && n !== 1) ? [i] : []));
  return reshape(reduceSum(grad, axes, true), shape);
}

const SHAPES: [number[], number[]][] = [
  [
    [2, 3],
    [2, 3],
  ],
  [
    [4, 1, 3],
    [5, 1],
  ],
  [[7], []],
  [[3, 129], [129]],
  [[0, 3], [3]],
];

/** An elementwise op of two broadcast operands. */
export function binary(
  name: string,
  vjp: ((call: { a: Value; b: Value; out: Value; grad: Value; needs: readonly boolean[] }) => (Value | null)[]) | null,
  options: { result?: 'bool'; second?: 'positive'; dtypes?: 'float' } = {},
): OpDef {
  const samples: Sample[] = SHAPES.map(([a, b]) => ({
    inputs: [normal(...a), options.second ? positive(...b) : normal(...b)],
    attrs: {},
  }));
  if (options.dtypes !== 'float')
    samples.push({ inputs: [ints([4], [-3, 0, 5, 7]), ints([4], [2, 0, 5, 9])], attrs: {} });
  return {
    name,
    infer(inputs) {
      arity(inputs, 2);
      const [a, b] = inputs as [TensorType, TensorType];
      expect(
        a.dtype === b.dtype && a.dtype !== 'bool',
        `two numeric operands of one dtype, got ${typeName(a)} and ${typeName(b)}`,
      );
      expect(options.dtypes !== 'float' || isFloat(a.dtype), `floats, got ${a.dtype}`);
      const shape = broadcastShapes(a.shape, b.shape);
      expect(shape !== null, `shapes that broadcast, got ${typeName(a)} and ${typeName(b)}`);
      return [{ dtype: options.result ?? a.dtype, shape }];
    },
    ...(vjp && {
      vjp({ inputs: [a, b], outputs: [out], grads: [grad], needs }) {
        const found = vjp({ a: a as Value, b: b as Value, out: out as Value, grad: grad as Value, needs });
        return [a, b].map((v, i) => (needs[i] && found[i] ? unbroadcast(found[i], (v as Value).shape) : null));
      },
    }),
    samples,
  };
}

/** An elementwise op of one float operand. */
export function unary(
  name: string,
  vjp: ((x: Value, out: Value, grad: Value) => Value) | null,
  options: { result?: 'bool'; domain?: 'positive' } = {},
): OpDef {
  const input = options.domain === 'positive' ? positive : normal;
  return {
    name,
    infer(inputs) {
      arity(inputs, 1);
      const x = inputs[0] as TensorType;
      expect(isFloat(x.dtype), `a float tensor, got ${typeName(x)}`);
      return [{ dtype: options.result ?? x.dtype, shape: x.shape }];
    },
    ...(vjp && {
      vjp: ({ inputs: [x], outputs: [out], grads: [grad] }) => [vjp(x as Value, out as Value, grad as Value)],
    }),
    samples: [
      { inputs: [input(3, 5)], attrs: {} },
      { inputs: [input(257)], attrs: {} },
      { inputs: [input()], attrs: {} },
      { inputs: [input(0)], attrs: {} },
    ],
  };
}

/** A float literal of the same dtype as a value. */
export const literal = (like: Value, value: number): Value => cast(like.graph.scalar(value), like.dtype);
