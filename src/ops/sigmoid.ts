// 1 / (1 + e⁻ˣ).
import { call, type Value } from '../graph/graph.ts';
import { literal, unary } from './elementwise.ts';
import { mul } from './mul.ts';
import { sub } from './sub.ts';
export const sigmoidOp = unary('sigmoid', (_x, out, grad) => mul(grad, mul(out, sub(literal(out, 1), out))));

export const sigmoid = (x: Value): Value => call(sigmoidOp, [x], {});
