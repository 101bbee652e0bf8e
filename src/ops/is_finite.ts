// True where x is neither infinite nor NaN.
import { call, type Value } from '../graph/graph.ts';
import { unary } from './elementwise.ts';

export const isFiniteOp = unary('is_finite', null, { result: 'bool' });

export const finite = (x: Value): Value => call(isFiniteOp, [x], {});
