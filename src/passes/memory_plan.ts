// The memory plan: when each value of a program is needed, and where in one arena it lies, so that peak memory is
// known before the first step. Values share bytes when their lifetimes do not meet (greedy by size into the best gap,
// Pisarchyk & Lee 2020); a reshape lies where its input lies.
import type { Graph, Node, Value } from '../graph/graph.ts';
import { bytesOf } from '../graph/types.ts';
import { reshapeOp } from '../ops/reshape.ts';
import { liveNodes } from './live.ts';

/** The alignment of every offset and reserved size. */
export const ALIGNMENT = 256;

export interface Place {
  /** In bytes from the arena's start. */
  readonly offset: number;
  /** Reserved bytes: the value's own, rounded up to the alignment. */
  readonly bytes: number;
  /** Steps in `order` that make it and that last read it; `order.length` is the end of the program. */
  readonly first: number;
  readonly last: number;
}

export interface MemoryPlan {
  readonly order: readonly Node[];
  /** Where each value made by a node lies. Views of inputs, states and constants have no place here: see `storage`. */
  readonly places: ReadonlyMap<Value, Place>;
  /** The value whose bytes a value uses: its own, or through reshapes those of an earlier one. */
  storage(value: Value): Value;
  readonly arenaBytes: number;
  readonly stateBytes: number;
  readonly inputBytes: number;
  readonly constantBytes: number;
  /** All of the above together. */
  readonly peakBytes: number;
  /** The most that is alive at one step: no arena can be smaller. */
  readonly liveBytes: number;
}

interface Lifetime {
  readonly value: Value;
  readonly bytes: number;
  readonly first: number;
  last: number;
}

/** Bytes rounded up to the alignment. */
export const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const sum = (values: Iterable<Value>): number => {
  let total = 0;
  for (const value of values) total += align(bytesOf(value.type));
  return total;
};

export function planMemory(graph: Graph): MemoryPlan {
  const order = liveNodes(graph);
  const roots = new Map<Value, Value>();
  const storage = (value: Value): Value => roots.get(value) ?? value;
  const lifetimes = new Map<Value, Lifetime>();
  const constants = new Set<Value>();
  const touch = (value: Value, step: number): void => {
    if (value.origin.kind === 'constant') constants.add(value);
    const lifetime = lifetimes.get(storage(value));
    if (lifetime) lifetime.last = Math.max(lifetime.last, step);
  };

  order.forEach((node, step) => {
    for (const input of node.inputs) touch(input, step);
    if (node.op.name === reshapeOp.name) {
      roots.set(node.outputs[0] as Value, storage(node.inputs[0] as Value));
      return;
    }
    for (const value of node.outputs)
      lifetimes.set(value, { value, bytes: align(bytesOf(value.type)), first: step, last: step });
  });
  for (const value of graph.outputs.values()) touch(value, order.length);
  for (const { value, start } of graph.writes) {
    touch(value, order.length);
    if (start) touch(start, order.length);
  }

  const placed = placeAll([...lifetimes.values()]);
  const places = new Map<Value, Place>(placed.map((place) => [place.value, place]));
  for (const [view, root] of roots) {
    const place = places.get(root);
    if (place) places.set(view, place);
  }
  const arenaBytes = placed.reduce((end, place) => Math.max(end, place.offset + place.bytes), 0);
  const stateBytes = sum(graph.states.values());
  const inputBytes = sum(graph.inputs.values());
  const constantBytes = sum(constants);
  return {
    order,
    places,
    storage,
    arenaBytes,
    stateBytes,
    inputBytes,
    constantBytes,
    peakBytes: arenaBytes + stateBytes + inputBytes + constantBytes,
    liveBytes: mostAlive([...lifetimes.values()], order.length),
  };
}

/** A program's values, and its inputs and constants, as a backend that plans nothing of its own takes them at least. */
export function plannedMemory(graph: Graph): { shared: number; own: number } {
  const { arenaBytes, inputBytes, constantBytes } = planMemory(graph);
  return { shared: arenaBytes, own: inputBytes + constantBytes };
}

/** Largest first, each into the smallest gap that holds it among those alive with it; `bytes` are aligned already. */
export function placeAll<L extends Omit<Place, 'offset'>>(lifetimes: L[]): (L & Place)[] {
  const placed: (L & Place)[] = []; // by rising offset
  for (const lifetime of lifetimes.sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    let end = 0;
    let best = { offset: -1, size: Number.POSITIVE_INFINITY };
    for (const other of placed) {
      if (other.last < lifetime.first || other.first > lifetime.last) continue;
      const gap = other.offset - end;
      if (gap >= lifetime.bytes && gap < best.size) best = { offset: end, size: gap };
      end = Math.max(end, other.offset + other.bytes);
    }
    const place = { ...lifetime, offset: best.offset < 0 ? end : best.offset };
    placed.splice(after(placed, place.offset), 0, place);
  }
  return placed;
}

/** The first index whose offset is larger. */
function after(places: readonly Place[], offset: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] as Place).offset <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mostAlive(lifetimes: readonly Lifetime[], steps: number): number {
  const change = new Float64Array(steps + 2);
  for (const { bytes, first, last } of lifetimes) {
    change[first]! += bytes;
    change[last + 1]! -= bytes;
  }
  let alive = 0;
  return change.reduce((most, delta) => {
    alive += delta;
    return Math.max(most, alive);
  }, 0);
}
