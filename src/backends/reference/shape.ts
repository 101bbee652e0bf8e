// Kernels that move elements: views, boxes, rows by index; and reductions over axes.
import { sizeOf, stridesOf, type TensorType } from '../../graph/types.ts';
import { type Data, expand, type Kernel, type Kernels, type Tensor, walk, zeros } from './kernel.ts';

type Reduction = { axes: readonly number[]; keep: boolean };

function reduce(step: (sum: number, x: number) => number, start: (dtype: string) => number): Kernel<Reduction> {
  return ([x], { axes }, [type]) => {
    const { shape, dtype } = x!.type;
    const out = zeros(type!).fill(start(dtype));
    const kept = stridesOf(shape.map((n, i) => (axes.includes(i) ? 1 : n)));
    const strides = kept.map((stride, i) => (axes.includes(i) ? 0 : stride));
    walk(shape, { strides: stridesOf(shape) }, { strides }, (i, j) => {
      out[j] = step(out[j]!, x!.data[i]!);
    });
    return [out];
  };
}

/** Copies a whole tensor into a box of another that starts at `at`. */
function place(x: Tensor, out: Data, shape: readonly number[], at: readonly number[]): void {
  const strides = stridesOf(shape);
  const offset = at.reduce((sum, n, i) => sum + n * strides[i]!, 0);
  walk(x.type.shape, { strides: stridesOf(x.type.shape) }, { strides, offset }, (i, j) => {
    out[j] = x.data[i]!;
  });
}

/** The box of a tensor that starts at `starts`. */
function box(x: Tensor, type: TensorType, starts: readonly number[]): Data {
  const out = zeros(type);
  const strides = stridesOf(x.type.shape);
  const offset = starts.reduce((sum, n, i) => sum + n * strides[i]!, 0);
  walk(type.shape, { strides: stridesOf(type.shape) }, { strides, offset }, (i, j) => {
    out[i] = x.data[j]!;
  });
  return out;
}

/** The index of a row, checked. */
function rowOf(ids: Tensor, m: number, rows: number): number {
  const id = ids.data[m]!;
  if (id < 0 || id >= rows) throw new Error(`row ${id} of ${rows} does not exist`);
  return id;
}

export const shapes: Kernels<
  | 'reshape'
  | 'transpose'
  | 'broadcast_to'
  | 'slice'
  | 'split'
  | 'concat'
  | 'pad'
  | 'gather_rows'
  | 'scatter_add_rows'
  | 'reduce_sum'
  | 'reduce_max'
> = {
  reshape: ([x]) => [x!.data],
  transpose([x], { perm }, [type]) {
    const out = zeros(type!);
    const own = stridesOf(x!.type.shape);
    const strides = perm.map((axis) => own[axis]!);
    walk(type!.shape, { strides: stridesOf(type!.shape) }, { strides }, (i, j) => {
      out[i] = x!.data[j]!;
    });
    return [out];
  },
  broadcast_to: ([x], _attrs, [type]) => [expand(x!, type!.shape)],
  slice: ([x], { starts }, [type]) => [box(x!, type!, starts)],
  split([x], { axis, sizes }, types) {
    let start = 0;
    return types.map((type, n) => {
      const starts = type.shape.map((_, i) => (i === axis ? start : 0));
      start += sizes[n]!;
      return box(x!, type, starts);
    });
  },
  concat(inputs, { axis }, [type]) {
    const out = zeros(type!);
    const at = type!.shape.map(() => 0);
    for (const x of inputs) {
      place(x, out, type!.shape, at);
      at[axis] = at[axis]! + x.type.shape[axis]!;
    }
    return [out];
  },
  pad([x], { before }, [type]) {
    const out = zeros(type!);
    place(x!, out, type!.shape, before);
    return [out];
  },
  gather_rows([table, ids], _attrs, [type]) {
    const out = zeros(type!);
    const [rows, ...rest] = table!.type.shape as [number, ...number[]];
    const width = sizeOf(rest);
    for (let m = 0; m < ids!.data.length; m++) {
      const id = rowOf(ids!, m, rows);
      for (let c = 0; c < width; c++) out[m * width + c] = table!.data[id * width + c]!;
    }
    return [out];
  },
  scatter_add_rows([values, ids], { rows }, [type]) {
    const out = zeros(type!);
    const width = sizeOf(values!.type.shape.slice(1));
    for (let m = 0; m < ids!.data.length; m++) {
      const id = rowOf(ids!, m, rows);
      for (let c = 0; c < width; c++) out[id * width + c]! += values!.data[m * width + c]!;
    }
    return [out];
  },
  reduce_sum: reduce(
    (sum, x) => sum + x,
    () => 0,
  ),
  reduce_max: reduce(
    (max, x) => Math.max(max, x),
    (dtype) => (dtype === 'i32' ? -(2 ** 31) : Number.NEGATIVE_INFINITY),
  ),
};
