// Rows of a table by index: table [N, …], ids i32 [M] → [M, …]. Ids must lie in 0 … N−1.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import type { TensorType } from '../graph/types.ts';
import { arity, expect, expectInts, ints, normal } from './checks.ts';
import { scatterAddRows } from './scatter_add_rows.ts';

export const gatherRowsOp: OpDef = {
  name: 'gather_rows',
  infer(inputs) {
    arity(inputs, 2);
    const [table, ids] = inputs as [TensorType, TensorType];
    expect(table.shape.length > 0, 'a table of rank 1 or more');
    expectInts(ids, [ids.shape[0] ?? 0], 'ids');
    return [{ dtype: table.dtype, shape: [ids.shape[0]!, ...table.shape.slice(1)] }];
  },
  vjp: ({ inputs: [table, ids], grads: [grad] }) => [scatterAddRows(grad!, ids!, table!.shape[0]!), null],
  flops: () => 0,
  samples: [
    { inputs: [normal(5, 3), ints([4], [0, 4, 4, 1])], attrs: {} },
    { inputs: [normal(5, 2, 2), ints([1], [3])], attrs: {} },
    { inputs: [normal(6), ints([3], [5, 0, 5])], attrs: {} },
  ],
};

export const gatherRows = (table: Value, ids: Value): Value => call(gatherRowsOp, [table, ids], {});
