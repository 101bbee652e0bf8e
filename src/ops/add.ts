// a + b, broadcast.
import { call, type Value } from '../graph/graph.ts';
import { binary } from './elementwise.ts';

export const addOp = binary('add', ({ grad }) => [grad, grad]);

export const add = (a: Value, b: Value): Value => call(addOp, [a, b], {});
