// The nodes that a program's outputs and writes depend on; all others are dead code.
import type { Graph, Node, Value } from '../graph/graph.ts';

/** Live nodes in the graph's own order, which is a valid order to run them in. */
export function liveNodes(graph: Graph): Node[] {
  const wanted = new Set<Value>(graph.outputs.values());
  for (const { value, start } of graph.writes) {
    wanted.add(value);
    if (start) wanted.add(start);
  }
  const live: Node[] = [];
  for (const node of graph.nodes.slice().reverse()) {
    if (!node.outputs.some((value) => wanted.has(value))) continue;
    for (const input of node.inputs) wanted.add(input);
    live.push(node);
  }
  return live.reverse();
}
