// −x.
import { call, type Value } from '../graph/graph.ts';
import { unary } from './elementwise.ts';

export const negOp = unary('neg', (_x, _out, grad) => neg(grad));

export const neg = (x: Value): Value => call(negOp, [x], {});
