// Views: how a value lies in the bytes of another (its root) — offset and strides in elements — so that reshape, slice,
// split, transpose and broadcast cost nothing where the reader can follow strides.
import type { Value } from '../../graph/graph.ts';
import { type Shape, sizeOf, stridesOf } from '../../graph/types.ts';

export interface View {
  readonly root: Value;
  readonly offset: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

export const wholeView = (root: Value): View => ({
  root,
  offset: 0,
  shape: root.shape,
  strides: stridesOf(root.shape),
});

/** One axis of an index walk: how many steps, and how far each goes. */
export interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** The view's axes, outermost first, without those of length 1 and with neighbours joined where they run on. */
export function axesOf({ shape, strides }: Pick<View, 'shape' | 'strides'>): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((size, i) => {
    if (size === 1) return;
    const stride = strides[i] as number;
    const last = axes.at(-1);
    if (last && last.stride === stride * size) axes[axes.length - 1] = { size: last.size * size, stride };
    else axes.push({ size, stride });
  });
  return axes;
}

export function isContiguous(view: View): boolean {
  const axes = axesOf(view);
  return axes.length === 0 || (axes.length === 1 && axes[0]!.stride === 1) || sizeOf(view.shape) === 0;
}

/** The view under another shape of as many elements; null where strides cannot express it. */
export function reshapeView(view: View, shape: Shape): View | null {
  if (sizeOf(shape) <= 1 || isContiguous(view)) return { ...view, shape, strides: stridesOf(shape) };
  // Each joined axis must be split by whole groups of the new shape's axes, from the innermost out.
  const axes = axesOf(view);
  const strides = new Array<number>(shape.length).fill(0);
  let at = axes.length - 1;
  let left = axes[at]?.size ?? 1;
  let stride = axes[at]?.stride ?? 0;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] as number;
    if (size === 1) continue;
    if (left === 1) {
      at--;
      left = axes[at]?.size ?? 1;
      stride = axes[at]?.stride ?? 0;
    }
    if (left % size !== 0) return null;
    strides[i] = stride;
    stride *= size;
    left /= size;
  }
  return { ...view, shape, strides };
}

export const transposeView = (view: View, perm: readonly number[]): View => ({
  ...view,
  shape: perm.map((p) => view.shape[p] as number),
  strides: perm.map((p) => view.strides[p] as number),
});

export const sliceView = (view: View, starts: readonly number[], ends: readonly number[]): View => ({
  ...view,
  offset: starts.reduce((sum, start, i) => sum + start * (view.strides[i] as number), view.offset),
  shape: starts.map((start, i) => (ends[i] as number) - start),
});

/** Right-aligned broadcasting, as in NumPy. */
export function broadcastView(view: View, shape: Shape): View {
  const lead = shape.length - view.shape.length;
  return {
    ...view,
    shape,
    strides: shape.map((_, i) => (i < lead || view.shape[i - lead] === 1 ? 0 : (view.strides[i - lead] as number))),
  };
}

/** A matrix view's rows: elements from one row to the next, or null when its columns do not lie side by side. */
export function rowStride({ shape, strides }: View): number | null {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const [row, column] = strides.slice(-2) as [number, number];
  if (column !== 1 && columns !== 1) return null;
  return rows === 1 ? Math.max(columns, 1) : row >= columns ? row : null;
}
