// One piece of work of a program on the device: a call of an op, or of what the rewrites make of several.
import type { Attrs, Value } from '../../graph/graph.ts';
import type { OpName } from '../../ops/index.ts';

/** Ops, and what the rewrites make: a contiguous copy, a sum of products. */
export type ItemOp = OpName | 'copy' | 'matmul_sum';

export interface Item {
  readonly op: ItemOp;
  readonly attrs: Attrs;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}
