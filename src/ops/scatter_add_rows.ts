// Adds rows into a zero table: values [M, …], ids i32 [M] → [rows, …]; rows of equal ids are summed.
// The gradient of gather_rows is made of it.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { arity, expectInts, ints, normal } from './checks.ts';

export const scatterAddRowsOp: OpDef<{ rows: number }> = {
  name: 'scatter_add_rows',
  infer(inputs, { rows }) {
    arity(inputs, 2);
    const [values, ids] = inputs as [TensorType, TensorType];
    expectInts(ids, [values.shape[0] ?? 0], 'ids');
    return [{ dtype: values.dtype, shape: [rows, ...values.shape.slice(1)] }];
  },
  flops: ([values]) => sizeOf(values!.shape),
  samples: [
    { inputs: [normal(4, 3), ints([4], [0, 4, 4, 1])], attrs: { rows: 6 } },
    { inputs: [normal(1, 2, 2), ints([1], [0])], attrs: { rows: 1 } },
  ],
};

export const scatterAddRows = (values: Value, ids: Value, rows: number): Value =>
  call(scatterAddRowsOp, [values, ids], { rows });
