// a = b as booleans, broadcast.
import { call, type Value } from '../graph/graph.ts';
import { binary } from './elementwise.ts';

export const equalOp = binary('equal', null, { result: 'bool' });

export const equal = (a: Value, b: Value): Value => call(equalOp, [a, b], {});
