// a · b, broadcast.
import { call, type Value } from '../graph/graph.ts';
import { binary } from './elementwise.ts';

export const mulOp = binary('mul', ({ a, b, grad, needs }) => [
  needs[0] ? mul(grad, b) : null,
  needs[1] ? mul(grad, a) : null,
]);

export const mul = (a: Value, b: Value): Value => call(mulOp, [a, b], {});
