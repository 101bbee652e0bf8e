// Dropout masks are cheaper to make than to read: each elementwise item that reads one gets it made anew in its own
// kernel, so that none is kept from the forward pass for the backward pass (2 bytes an element of every LoRA input).
import type { Graph, Value } from '../../graph/graph.ts';
import type { Item } from './item.ts';
import { freshValue } from './items.ts';
import { isPointwise } from './pointwise.ts';

/** The items with a mask, and casts of it, in front of each elementwise item that reads them. */
export function remakeMasks(graph: Graph, items: readonly Item[]): Item[] {
  const kept = new Set([...graph.outputs.values(), ...graph.writes.flatMap(({ value, start }) => [value, start])]);
  const makers = new Map<Value, Item>();
  for (const item of items) {
    const ofMasks = item.op === 'cast' && item.inputs.every((input) => makers.has(input));
    if ((item.op === 'dropout_mask' || ofMasks) && !kept.has(item.outputs[0]!)) makers.set(item.outputs[0]!, item);
  }
  const out: Item[] = [];
  const again = (value: Value): Value => {
    const maker = makers.get(value);
    if (!maker) return value;
    const made = freshValue(graph, value.type);
    out.push({ ...maker, inputs: maker.inputs.map(again), outputs: [made] });
    return made;
  };
  const readAsTheyAre = new Set(items.flatMap((item) => (isPointwise(item.op) ? [] : item.inputs)));
  for (const item of items) {
    const isMask = makers.get(item.outputs[0]!) === item;
    if (isMask && !readAsTheyAre.has(item.outputs[0]!)) continue;
    out.push(isPointwise(item.op) ? { ...item, inputs: item.inputs.map(again) } : item);
  }
  return out;
}
