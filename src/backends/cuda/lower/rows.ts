// Rows by index, rotary embedding, concatenation and padding, reductions and the softmax.
import type { Value } from '../../../graph/graph.ts';
import { bytesOf, sizeOf } from '../../../graph/types.ts';
import { kernel } from '../kernels.ts';
import { C_TYPE, copyKernel, THREADS } from '../pointwise.ts';
import { ceil, type Enqueuer, f, i, type Lowered, p, vectorOf } from '../step.ts';
import { sliceView, type View, wholeView } from '../view.ts';

const BLOCK = 256;

export const gatherRows = (_attrs: unknown, { views: [table, ids], outputs: [out] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const rows = ids!.shape[0]!;
    const columns = sizeOf(table!.shape.slice(1));
    if (rows * columns === 0) return;
    const macros = { T: C_TYPE[table!.root.dtype], C: 'float', VECTOR: vectorOf(columns) };
    const block = Math.min(BLOCK, 32 * ceil(columns, 32 * macros.VECTOR));
    run.launch(kernel('rows', 'gather_rows', macros), rows, block, [
      p(run.at(table!)),
      p(run.at(ids!)),
      p(run.to(out!)),
      i(columns),
    ]);
  },
});

export const scatterAddRows = (_attrs: unknown, { views: [values, ids], outputs: [out] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const rows = ids!.shape[0]!;
    const columns = sizeOf(values!.shape.slice(1));
    run.fill(run.to(out!), bytesOf(out!.type));
    if (rows * columns === 0) return;
    const macros = { T: C_TYPE[values!.root.dtype], C: 'float', VECTOR: 1 };
    const args = [p(run.at(values!)), p(run.at(ids!)), p(run.to(out!)), i(rows), i(columns)];
    run.launch(kernel('rows', 'scatter_add_rows', macros), rows, BLOCK, args);
  },
});

export const rope = ({ inverse }: { inverse: boolean }, { views: [x, cos, sin], outputs: [out] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const [tokens, heads, width] = x!.shape as [number, number, number];
    const VECTOR = vectorOf(width / 2);
    const macros = { T: C_TYPE[x!.root.dtype], C: C_TYPE[cos!.root.dtype], VECTOR };
    const threads = tokens * heads * (width / 2 / VECTOR);
    const sizes = [
      i(tokens),
      i(heads),
      i(width),
      i(tokens === 1 ? heads * width : x!.strides[0]!),
      f(inverse ? -1 : 1),
    ];
    const args = [p(run.at(x!)), p(run.at(cos!)), p(run.at(sin!)), p(run.to(out!)), ...sizes];
    run.launch(kernel('rows', 'rope', macros), ceil(threads, BLOCK), BLOCK, args);
  },
});

interface Part {
  readonly from: View;
  readonly starts: readonly number[];
}

/** Copies views into boxes of a contiguous value; what is made in its place already needs none. */
function copyInto(parts: readonly Part[], to: Value) {
  const copies = parts
    .filter(({ from }) => sizeOf(from.shape) > 0)
    .map(({ from, starts }) => {
      const ends = starts.map((start, axis) => start + from.shape[axis]!);
      const target = sliceView(wholeView(to), starts, ends);
      return { from, target, ...copyKernel(from, target) };
    });
  return {
    kernels: copies.map((copy) => copy.kernel),
    enqueue(run: Enqueuer) {
      for (const { from, target, kernel: copy, blocks } of copies) {
        const [source, goal] = [run.at(from), run.at(target)];
        if (source !== goal) run.launch(copy, blocks, THREADS, [p(source), p(goal)]);
      }
    },
  };
}

export const concat = ({ axis }: { axis: number }, { views, outputs: [out] }: Lowered) => {
  let at = 0;
  const parts = views.map((from) => {
    const starts = from.shape.map((_, n) => (n === axis ? at : 0));
    at += from.shape[axis]!;
    return { from, starts };
  });
  return { scratch: 0, ...copyInto(parts, out!) };
};

export const pad = ({ before }: { before: readonly number[] }, { views: [x], outputs: [out] }: Lowered) => {
  const copy = copyInto([{ from: x!, starts: before }], out!);
  return {
    scratch: 0,
    kernels: copy.kernels,
    enqueue(run: Enqueuer) {
      run.fill(run.to(out!), bytesOf(out!.type));
      copy.enqueue(run);
    },
  };
};

/** Few long rows take all the threads that a block can have. */
const rowThreads = (rows: number, columns: number): number => (rows < 128 && columns >= 8192 ? 1024 : BLOCK);

const SHARES = 32;

/** Axes that lie side by side are reduced as the middle axis of [A, R, C]; the layout sees to it that they do. */
export const reduce =
  (maximum: boolean) =>
  ({ axes }: { axes: readonly number[] }, { views: [x], outputs: [out] }: Lowered) => {
    const { shape } = x!;
    const [first, last] = [axes[0] ?? shape.length, axes.at(-1) ?? shape.length - 1];
    const outer = sizeOf(shape.slice(0, first));
    const rows = sizeOf(shape.slice(first, last + 1));
    const columns = sizeOf(shape.slice(last + 1));
    const THREADS = columns === 1 ? rowThreads(outer, rows) : BLOCK;
    const macros = { T: C_TYPE[x!.root.dtype], MAXIMUM: maximum ? 1 : 0, THREADS };
    const shares = Math.max(1, Math.min(SHARES, ceil(rows, 64)));
    return {
      scratch: columns > 1 ? shares * outer * columns * 4 : 0,
      enqueue(run: Enqueuer) {
        if (outer * columns === 0) return;
        const [from, to] = [p(run.at(x!)), p(run.to(out!))];
        if (columns === 1) {
          run.launch(kernel('reduce', 'reduce_rows', macros), outer, THREADS, [from, to, i(rows)]);
          return;
        }
        const grid = [ceil(columns, 32), shares, outer] as const;
        run.launch(kernel('reduce', 'reduce_columns_parts', macros), grid, BLOCK, [
          from,
          p(run.scratch),
          i(rows),
          i(columns),
        ]);
        const size = outer * columns;
        run.launch(kernel('reduce', 'reduce_columns', macros), ceil(size, BLOCK), BLOCK, [
          p(run.scratch),
          to,
          i(shares),
          i(size),
        ]);
      },
    };
  };

export const softmax = (_attrs: unknown, { views: [x], outputs: [out] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const columns = x!.shape.at(-1)!;
    const rows = sizeOf(x!.shape) / Math.max(1, columns);
    if (rows * columns === 0) return;
    const THREADS = rowThreads(rows, columns);
    const macros = { T: C_TYPE[x!.root.dtype], MAXIMUM: 0, THREADS };
    run.launch(kernel('reduce', 'softmax', macros), rows, THREADS, [p(run.at(x!)), p(run.to(out!)), i(columns)]);
  },
});
