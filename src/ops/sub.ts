// a − b, broadcast.
import { call, type Value } from '../graph/graph.ts';
import { binary } from './elementwise.ts';
import { neg } from './neg.ts';
export const subOp = binary('sub', ({ grad, needs }) => [grad, needs[1] ? neg(grad) : null]);

export const sub = (a: Value, b: Value): Value => call(subOp, [a, b], {});
