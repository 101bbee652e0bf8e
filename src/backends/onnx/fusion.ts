// Sums that a product takes along: ONNX's Gemm adds its third operand while it multiplies, which saves a pass over memory.
import type { Graph, Node, Value } from '../../graph/graph.ts';

/** An add that becomes Gemm(product's operands, addend). */
export interface BiasedProduct {
  readonly product: Node;
  readonly addend: Value;
}

/** Gemm's third operand stretches to [M, N] and never the other way round. */
const stretchesTo = (shape: readonly number[], to: readonly number[]): boolean =>
  shape.length <= to.length && shape.every((n, i) => n === 1 || n === to[to.length - shape.length + i]);

/** The adds of `nodes` that fuse with a 2-D product nobody else reads, none of the `others`. */
export function biasedProducts(
  graph: Graph,
  nodes: readonly Node[],
  others: ReadonlyMap<Node, unknown>,
): Map<Node, BiasedProduct> {
  const uses = new Map<Value, number>();
  const use = (value: Value) => uses.set(value, (uses.get(value) ?? 0) + 1);
  for (const node of nodes) node.inputs.forEach(use);
  for (const value of graph.outputs.values()) use(value);
  for (const { value, start } of graph.writes) for (const read of start ? [value, start] : [value]) use(read);

  const fused = new Map<Node, BiasedProduct>();
  for (const node of nodes) {
    if (node.op.name !== 'add') continue;
    // The right operand first: there the model code puts LoRA's skinny product, the cheaper one to add into.
    for (const i of [1, 0]) {
      const [factor, addend] = [node.inputs[i] as Value, node.inputs[1 - i] as Value];
      const { origin, shape, dtype } = factor;
      if (
        origin.kind !== 'node' ||
        origin.node.op.name !== 'matmul' ||
        others.has(origin.node) ||
        uses.get(factor) !== 1
      )
        continue;
      if (shape.length !== 2 || dtype !== 'f32' || !stretchesTo(addend.shape, shape)) continue;
      fused.set(node, { product: origin.node, addend });
      break;
    }
  }
  return fused;
}
