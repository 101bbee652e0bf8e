// cond ? a : b, broadcast.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { broadcastShapes, type TensorType, typeName } from '../graph/types.ts';
import { arity, bools, expect, normal } from './checks.ts';
import { literal, unbroadcast } from './elementwise.ts';

export const selectOp: OpDef = {
  name: 'select',
  infer(inputs) {
    arity(inputs, 3);
    const [cond, a, b] = inputs as [TensorType, TensorType, TensorType];
    expect(cond.dtype === 'bool', `a bool condition, got ${typeName(cond)}`);
    expect(a.dtype === b.dtype, `two branches of one dtype, got ${typeName(a)} and ${typeName(b)}`);
    const branches = broadcastShapes(a.shape, b.shape);
    const shape = branches && broadcastShapes(cond.shape, branches);
    expect(shape !== null, 'shapes that broadcast');
    return [{ dtype: a.dtype, shape }];
  },
  vjp({ inputs, grads: [grad], needs }) {
    const [cond, a, b] = inputs as [Value, Value, Value];
    const zero = literal(grad!, 0);
    return [
      null,
      needs[1] ? unbroadcast(select(cond, grad!, zero), a.shape) : null,
      needs[2] ? unbroadcast(select(cond, zero, grad!), b.shape) : null,
    ];
  },
  samples: [
    { inputs: [bools([3], [1, 0, 1]), normal(3), normal(3)], attrs: {} },
    { inputs: [bools([3, 1], [1, 0, 1]), normal(3, 4), normal()], attrs: {} },
    { inputs: [bools([4], [1, 1, 0, 0]), bools([4], [1, 0, 1, 0]), bools([], [1])], attrs: {} },
  ],
};

export const select = (cond: Value, a: Value, b: Value): Value => call(selectOp, [cond, a, b], {});
