// One piece of work of a program on the device: a call of an op, or of what the rewrites make of several.
import type { Attrs, Value } from '../../graph/graph.ts';
import type { OpName } from '../../ops/index.ts';

/**
 * Ops, and what the rewrites make: a contiguous copy, a sum of products, the spans that attention shares (spans.ts), and
 * the fused items of decoding (fusion.ts).
 */
export type ItemOp = OpName | 'copy' | FusedOp;
export type FusedOp = 'matmul_sum' | 'attention_spans' | 'few_rows' | 'turning_attention';

export interface Item {
  readonly op: ItemOp;
  readonly attrs: Attrs;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}
