// Recomputation by layer (Chen et al. 2016): of the layers that a graph marks by checkpoints, only what each reads is kept
// for the backward pass; what lies within is made again, in one stretch, where the backward pass first asks for it.
import { Graph, type Node, type Value } from '../graph/graph.ts';
import { liveNodes } from './live.ts';

/**
 * The same program with less alive at once. Layers end where the next one is marked; what comes after the last mark
 * (the last layer, the loss, the backward pass and the update) reads values of earlier layers made anew. Kept beside
 * the marked values is what one layer makes and another reads, and what is made from states alone: weights.
 */
export function recompute(graph: Graph): Graph {
  const order = liveNodes(graph);
  const layers = layersOf(graph);
  const inner = innerValues(order, layers);
  for (const { value } of graph.checkpoints) inner.delete(value);
  const out = new Graph();
  const first = new Map<Value, Value>();
  const second = new Map<Value, Value>();

  const original = (value: Value): Value => {
    const known = first.get(value);
    if (known) return known;
    if (value.origin.kind !== 'constant') throw new Error(`recompute: ${value} is used before it is made`);
    const made = out.constant(value.origin.data, value.shape, value.dtype);
    first.set(value, made);
    return made;
  };
  const anew = (value: Value): Value => {
    if (value.origin.kind !== 'node' || !inner.has(value)) return original(value);
    const known = second.get(value);
    if (known) return known;
    const { node } = value.origin;
    const made = out.apply(node.op, node.inputs.map(anew), node.attrs, true);
    node.outputs.forEach((output, i) => {
      second.set(output, made[i] as Value);
    });
    return second.get(value) as Value;
  };

  for (const [name, value] of graph.inputs) first.set(value, out.input(name, value.shape, value.dtype));
  for (const [name, value] of graph.states) first.set(value, out.state(name, value.shape, value.dtype));
  for (const node of order) {
    const isLate = layers.get(node) === AFTER;
    const made = out.apply(node.op, node.inputs.map(isLate ? anew : original), node.attrs);
    node.outputs.forEach((output, i) => {
      first.set(output, made[i] as Value);
    });
  }
  for (const [name, value] of graph.outputs) out.output(name, original(value));
  for (const { state, value, start } of graph.writes)
    if (start) out.assignRows(original(state), original(start), original(value));
    else out.assign(original(state), original(value));
  return out;
}

const BEFORE = 0;
const AFTER = Number.POSITIVE_INFINITY;

/** The layer of each node, from 1; what stands before the first mark and after the last is in none. */
function layersOf({ nodes, checkpoints }: Graph): Map<Node, number> {
  const layers = new Map<Node, number>();
  let layer = BEFORE;
  nodes.forEach((node, i) => {
    while (layer < checkpoints.length && checkpoints[layer]!.at <= i) layer++;
    layers.set(node, layer === checkpoints.length ? AFTER : layer);
  });
  return layers;
}

/** What is not kept: values that their own layer alone reads, but for the backward pass. */
function innerValues(order: readonly Node[], layers: ReadonlyMap<Node, number>): Set<Value> {
  const inner = new Map<Value, number>();
  const varies = new Set<Value>();
  for (const node of order) {
    const layer = layers.get(node)!;
    const isVarying = node.inputs.some((input) => input.origin.kind === 'input' || varies.has(input));
    if (isVarying) for (const output of node.outputs) varies.add(output);
    if (layer === AFTER) continue;
    for (const input of node.inputs) if (inner.get(input) !== layer) inner.delete(input);
    if (isVarying && layer !== BEFORE) for (const output of node.outputs) inner.set(output, layer);
  }
  return new Set(inner.keys());
}
