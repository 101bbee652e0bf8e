// The larger of a and b, broadcast; where equal the gradient goes to a.
import { call, type Value } from '../graph/graph.ts';
import { binary, literal } from './elementwise.ts';
import { less } from './less.ts';
import { select } from './select.ts';
export const maximumOp = binary('maximum', ({ a, b, grad }) => {
  const second = less(a, b);
  return [select(second, literal(grad, 0), grad), select(second, grad, literal(grad, 0))];
});

export const maximum = (a: Value, b: Value): Value => call(maximumOp, [a, b], {});
