// What a program costs to run, from each op's own count.
import type { Graph } from '../graph/graph.ts';
import { sizeOf } from '../graph/types.ts';
import { liveNodes } from './live.ts';

/** Floating-point operations of one run; an op without a count of its own takes one an output element. */
export function countFlops(graph: Graph): number {
  let total = 0;
  for (const { op, attrs, inputs, outputs } of liveNodes(graph)) {
    const types = outputs.map((value) => value.type);
    const elements = types.reduce((sum, type) => sum + sizeOf(type.shape), 0);
    total +=
      op.flops?.(
        inputs.map((value) => value.type),
        types,
        attrs,
      ) ?? elements;
  }
  return total;
}
