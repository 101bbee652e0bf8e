// Tensors one after another along an axis.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { expect, normal } from './checks.ts';
import { sliceAxis } from './slice.ts';

export const concatOp: OpDef<{ axis: number }> = {
  name: 'concat',
  infer(inputs, { axis }) {
    const first = inputs[0];
    expect(first !== undefined, 'at least one input');
    expect(axis >= 0 && axis < first.shape.length, `an axis below ${first.shape.length}, got ${axis}`);
    const fits = inputs.every(
      (x) =>
        x.dtype === first.dtype &&
        x.shape.length === first.shape.length &&
        x.shape.every((n, i) => i === axis || n === first.shape[i]),
    );
    expect(fits, `inputs alike on every axis but ${axis}`);
    const total = inputs.reduce((sum, x) => sum + x.shape[axis]!, 0);
    return [{ dtype: first.dtype, shape: first.shape.map((n, i) => (i === axis ? total : n)) }];
  },
  vjp({ inputs, grads: [grad], attrs: { axis }, needs }) {
    let start = 0;
    return inputs.map((x, i) => {
      const from = start;
      start += x.shape[axis]!;
      return needs[i] ? sliceAxis(grad!, axis, from, start) : null;
    });
  },
  flops: () => 0,
  samples: [
    { inputs: [normal(2, 3), normal(2, 1)], attrs: { axis: 1 } },
    { inputs: [normal(2, 3), normal(0, 3), normal(4, 3)], attrs: { axis: 0 } },
  ],
};

export const concat = (inputs: readonly Value[], axis: number): Value =>
  inputs.length === 1 ? inputs[0]! : call(concatOp, inputs, { axis });
