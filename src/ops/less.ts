// a < b as booleans, broadcast.
import { call, type Value } from '../graph/graph.ts';
import { binary } from './elementwise.ts';

export const lessOp = binary('less', null, { result: 'bool' });

export const less = (a: Value, b: Value): Value => call(lessOp, [a, b], {});
