// Reverse-mode differentiation: walks the nodes backwards from a scalar and asks each op for its vjp.
import type { Node, Value } from '../graph/graph.ts';
import { add } from '../ops/add.ts';
import { broadcastTo } from '../ops/broadcast_to.ts';
import { literal } from '../ops/elementwise.ts';

/**
 * Gradients of a scalar with respect to values of the same graph, as new values of it.
 * A value that the scalar does not depend on gets zeros.
 */
export function grad(loss: Value, wrt: readonly Value[]): Value[] {
  if (loss.shape.length > 0) throw new Error(`grad: expected a scalar loss, got ${loss}`);
  const nodes = loss.graph.nodes.slice();
  const wanted = new Set<Value>(wrt);
  // Forward: which values depend on what is asked for.
  for (const node of nodes) if (node.inputs.some((v) => wanted.has(v))) for (const out of node.outputs) wanted.add(out);

  const grads = new Map<Value, Value>([[loss, literal(loss, 1)]]);
  for (const node of nodes.reverse()) {
    if (!node.outputs.some((out) => wanted.has(out) && grads.has(out))) continue;
    for (const [i, g] of vjpOf(node, grads, wanted).entries()) {
      const input = node.inputs[i] as Value;
      if (!g || !wanted.has(input)) continue;
      const sum = grads.get(input);
      grads.set(input, sum ? add(sum, g) : g);
    }
  }
  return wrt.map((v) => grads.get(v) ?? broadcastTo(literal(v, 0), v.shape));
}

function vjpOf(node: Node, grads: Map<Value, Value>, wanted: Set<Value>): (Value | null)[] {
  if (!node.op.vjp) throw new Error(`grad: the op ${node.op.name} has no gradient, and the loss depends on it`);
  return node.op.vjp({
    inputs: node.inputs,
    outputs: node.outputs,
    attrs: node.attrs,
    grads: node.outputs.map((out) => grads.get(out) ?? null),
    needs: node.inputs.map((v) => wanted.has(v)),
  });
}
