// True where x is neither infinite nor NaN.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { floats } from './checks.ts';
import { unary } from './elementwise.ts';

const plain = unary('is_finite', null, { result: 'bool' });

export const isFiniteOp: OpDef = {
  ...plain,
  samples: [
    ...plain.samples,
    {
      inputs: [floats([7], [1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, 6e4, -1e-7])],
      attrs: {},
    },
  ],
};

export const finite = (x: Value): Value => call(isFiniteOp, [x], {});
