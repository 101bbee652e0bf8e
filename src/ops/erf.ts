// The Gauss error function.
import { call, type Value } from '../graph/graph.ts';
import { literal, unary } from './elementwise.ts';
import { exp } from './exp.ts';
import { mul } from './mul.ts';
import { neg } from './neg.ts';
export const erfOp = unary('erf', (x, _out, grad) =>
  mul(grad, mul(literal(x, 2 / Math.sqrt(Math.PI)), exp(neg(mul(x, x))))),
);

export const erf = (x: Value): Value => call(erfOp, [x], {});
