// The square root.
import { call, type Value } from '../graph/graph.ts';
import { div } from './div.ts';
import { literal, unary } from './elementwise.ts';
import { mul } from './mul.ts';
export const sqrtOp = unary('sqrt', (_x, out, grad) => div(mul(grad, literal(grad, 0.5)), out), { domain: 'positive' });

export const sqrt = (x: Value): Value => call(sqrtOp, [x], {});
