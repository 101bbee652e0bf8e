// eˣ.
import { call, type Value } from '../graph/graph.ts';
import { unary } from './elementwise.ts';
import { mul } from './mul.ts';
export const expOp = unary('exp', (_x, out, grad) => mul(grad, out));

export const exp = (x: Value): Value => call(expOp, [x], {});
