// The nodes that a graph's outputs and writes depend on, in order; all others are dead.
import type { Graph, Node, Value } from '../graph/graph.ts';

export function liveNodes(graph: Graph): Node[] {
  const needed = new Set<Node>();
  const visit = (value: Value) => {
    if (value.origin.kind === 'node') needed.add(value.origin.node);
  };
  for (const value of graph.outputs.values()) visit(value);
  for (const { value, start } of graph.writes) {
    visit(value);
    if (start) visit(start);
  }
  // Nodes stand after what they read, so one walk backwards meets every user before its inputs.
  for (const node of graph.nodes.slice().reverse()) if (needed.has(node)) for (const input of node.inputs) visit(input);
  return graph.nodes.filter((node) => needed.has(node));
}
