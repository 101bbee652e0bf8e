// a / b for floats, broadcast.
import { call, type Value } from '../graph/graph.ts';
import { binary } from './elementwise.ts';
import { mul } from './mul.ts';
import { neg } from './neg.ts';
export const divOp = binary(
  'div',
  ({ b, out, grad, needs }) => [needs[0] ? div(grad, b) : null, needs[1] ? neg(div(mul(grad, out), b)) : null],
  { second: 'positive', dtypes: 'float' },
);

export const div = (a: Value, b: Value): Value => call(divOp, [a, b], {});
