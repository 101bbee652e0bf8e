// The natural logarithm.
import { call, type Value } from '../graph/graph.ts';
import { div } from './div.ts';
import { unary } from './elementwise.ts';
export const logOp = unary('log', (x, _out, grad) => div(grad, x), { domain: 'positive' });

export const log = (x: Value): Value => call(logOp, [x], {});
