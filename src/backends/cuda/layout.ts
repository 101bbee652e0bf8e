// Decides where values lie: reshape, slice, split, transpose and broadcast become views, and a copy is put in where the
// item that reads a value cannot follow its strides.
import type { Graph, Value } from '../../graph/graph.ts';
import type { Item } from './item.ts';
import { freshValue, literalOf } from './items.ts';
import { isPointwise } from './pointwise.ts';
import {
  broadcastView,
  isContiguous,
  reshapeView,
  rowStride,
  sliceView,
  transposeView,
  type View,
  wholeView,
} from './view.ts';

export interface Layout {
  readonly items: readonly Item[];
  viewOf(value: Value): View;
  /** what leaves the program and what is written to states, by the value that lies contiguously */
  readonly outputs: ReadonlyMap<string, Value>;
  readonly writes: readonly { readonly state: Value; readonly value: Value; readonly start: Value | null }[];
  /** who reads the bytes of a root: items, and null for what leaves the program or is written */
  readonly readers: ReadonlyMap<Value, readonly (Item | null)[]>;
}

const bytes = (view: View): number => (view.root.dtype === 'f32' || view.root.dtype === 'i32' ? 4 : 2);
/** Begins at a multiple of 16 bytes, as whole values do. */
export const isAligned = (view: View): boolean => (view.offset * bytes(view)) % 16 === 0;

/** A matrix whose rows or whose columns lie side by side; a batch of them is evenly spaced. */
function isMatrix(view: View): boolean {
  const rank = view.shape.length;
  const lead = { shape: view.shape.slice(0, -2), strides: view.strides.slice(0, -2) };
  const evenly = rank <= 2 || reshapeView({ ...view, ...lead }, [lead.shape.reduce((a, b) => a * b, 1)]) !== null;
  const flipped = transposeView(view, [...lead.shape.keys(), rank - 1, rank - 2]);
  return isAligned(view) && evenly && (rowStride(view) !== null || rowStride(flipped) !== null);
}

/** Heads of width d side by side in rows of any distance: [T, heads, d]. */
const isHeads = (view: View): boolean => {
  const [, , width] = view.shape as [number, number, number];
  const [row, head, one] = view.strides as [number, number, number];
  return isAligned(view) && one === 1 && (head === width || view.shape[1] === 1) && (row * bytes(view)) % 16 === 0;
};

/** Can the kernels of an item read this input as it lies? */
function accepts(item: Item, input: number, view: View): boolean {
  switch (item.op) {
    case 'matmul_sum': {
      const terms = (item.attrs.transA as readonly number[]).length;
      return input < 2 * terms ? isMatrix(view) : isContiguous(view) && isAligned(view);
    }
    case 'attention':
      return input < 3 ? isHeads(view) : isContiguous(view);
    case 'attention_grad':
      return input >= 1 && input <= 3 ? isHeads(view) : isContiguous(view);
    case 'rope':
      return input === 0 ? isHeads(view) : isContiguous(view);
    case 'concat':
    case 'pad':
      return true;
    default:
      return isContiguous(view);
  }
}

export function layOut(graph: Graph, items: readonly Item[]): Layout {
  const views = new Map<Value, View>();
  const copies = new Map<Value, Value>();
  const out: Item[] = [];
  const viewOf = (value: Value): View => views.get(value) ?? wholeView(value);
  const copied = (value: Value): Value => {
    const known = copies.get(value);
    if (known) return known;
    const copy = freshValue(graph, value.type);
    out.push({ op: 'copy', attrs: {}, inputs: [value], outputs: [copy] });
    copies.set(value, copy);
    return copy;
  };
  const contiguous = (value: Value): Value =>
    literalOf(value) !== null || !isContiguous(viewOf(value)) ? copied(value) : value;
  /** Axes that do not lie side by side go to the end first. */
  const reduction = (item: Item): Item => {
    const axes = item.attrs.axes as readonly number[];
    const [value] = item.inputs as [Value];
    const sideBySide = axes.every((axis, i) => i === 0 || axis === axes[i - 1]! + 1);
    if (sideBySide) return { ...item, inputs: [contiguous(value)] };
    const rank = value.shape.length;
    const kept = [...value.shape.keys()].filter((axis) => !axes.includes(axis));
    const view = transposeView(viewOf(value), [...kept, ...axes]);
    const turned = freshValue(graph, { dtype: value.dtype, shape: view.shape });
    views.set(turned, view);
    const last = Array.from(axes, (_, i) => rank - axes.length + i);
    return { ...item, attrs: { ...item.attrs, axes: last }, inputs: [copied(turned)] };
  };

  for (const item of items) {
    const [input, ...others] = item.inputs;
    const [output] = item.outputs;
    const attrs = item.attrs as Record<string, readonly number[]>;
    switch (item.op) {
      case 'reshape': {
        const view = reshapeView(viewOf(input!), output!.shape);
        views.set(output!, view ?? reshapeView(wholeView(copied(input!)), output!.shape)!);
        break;
      }
      case 'transpose':
        views.set(output!, transposeView(viewOf(input!), attrs.perm!));
        break;
      case 'slice':
        views.set(output!, sliceView(viewOf(input!), attrs.starts!, attrs.ends!));
        break;
      case 'split': {
        let start = 0;
        const axis = (item.attrs as { axis: number }).axis;
        const view = viewOf(input!);
        for (const part of item.outputs) {
          const starts = view.shape.map((_, i) => (i === axis ? start : 0));
          start += part.shape[axis]!;
          views.set(
            part,
            sliceView(
              view,
              starts,
              starts.map((from, i) => from + part.shape[i]!),
            ),
          );
        }
        break;
      }
      case 'reduce_sum':
      case 'reduce_max':
        out.push(reduction(item));
        break;
      case 'broadcast_to':
        views.set(output!, broadcastView(viewOf(input!), output!.shape));
        break;
      default: {
        const inputs = isPointwise(item.op)
          ? item.inputs
          : [input, ...others].map((value, i) =>
              value && literalOf(value) === null && accepts(item, i, viewOf(value)) ? value : copied(value!),
            );
        out.push({ ...item, inputs });
      }
    }
  }
  const written = new Set(graph.writes.map(({ state }) => state));
  // A state's value from before the program is told, so it is kept apart where the program writes it.
  const outputs = new Map(
    [...graph.outputs].map(([name, value]) => [
      name,
      written.has(viewOf(value).root) ? copied(value) : contiguous(value),
    ]),
  );
  const writes = graph.writes.map(({ state, value, start }) => {
    // A state or an input is copied first: it may itself be written.
    const made = viewOf(value).root.origin.kind === 'node';
    return { state, value: made ? contiguous(value) : copied(value), start: start && contiguous(start) };
  });
  const made = { items: out, viewOf, outputs, writes };
  return { ...made, readers: readersOf(made) };
}

/** Who reads what, in items, outputs and writes. */
export function readersOf({ items, viewOf, outputs, writes }: Omit<Layout, 'readers'>): Layout['readers'] {
  const readers = new Map<Value, (Item | null)[]>();
  const read = (value: Value, reader: Item | null) => {
    if (literalOf(value) !== null) return;
    const { root } = viewOf(value);
    const known = readers.get(root);
    if (known) known.push(reader);
    else readers.set(root, [reader]);
  };
  for (const item of items) for (const value of item.inputs) read(value, item);
  for (const value of outputs.values()) read(value, null);
  for (const { value, start } of writes) {
    read(value, null);
    if (start) read(start, null);
  }
  return readers;
}
