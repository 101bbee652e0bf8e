// Products of few rows, as when decoding, with weights that are read once: on tensor cores in bf16 (kernels/skinny.cu), where
// the RMS norm before and SwiGLU behind may be part of it; by sums of warps in the other types (kernels/gemv.cu).
import type { Value } from '../../../graph/graph.ts';
import type { DType } from '../../../graph/types.ts';
import { type Argument, type Pointer, structOf } from '../ffi/driver.ts';
import { kernel, kernelOf, waiting } from '../kernels.ts';
import { C_TYPE } from '../pointwise.ts';
import { ceil, type Enqueuer, f, i, type Lowered, p } from '../step.ts';
import { isContiguous, type View } from '../view.ts';

/** Products that one launch makes. */
export const MOST_PRODUCTS = 3;
/** More rows are cuBLASLt's work. */
const mostRows = (type: DType): number => (type === 'bf16' ? 64 : 4);
/** With more rows each block would spend longer on the norm of x than on the product. */
const MOST_NORMED_ROWS = 16;

/** Where cuBLASLt was seen to be quicker (docs/log.md): vocabularies, long sums of many rows, large weights of still more. */
const isWide = (m: number, n: number, k: number): boolean =>
  n >= 2 ** 16 || (m > 8 && k >= 4096) || (m > MOST_NORMED_ROWS && n * k > 2 ** 22);

/** Whether the norm of x, and SwiGLU of two products, can be part of the launch. */
export const canNorm = (x: View): boolean => x.root.dtype === 'bf16' && x.shape[0]! <= MOST_NORMED_ROWS;
export const canGate = (x: View): boolean => x.root.dtype === 'bf16';

/** Few rows that lie side by side, and weights whose rows do, as x [M, K] · w [N, K]ᵀ reads them. */
export function isFewRows(x: View, w: View, out: Value): boolean {
  const { dtype } = w.root;
  if (out.shape.length !== 2 || out.shape[0]! > mostRows(dtype) || x.root.dtype !== dtype) return false;
  const [m, k] = x.shape as [number, number];
  const [n, depth] = w.shape as [number, number];
  if (dtype === 'bf16' && isWide(m, n, k)) return false;
  const alike = m === out.shape[0] && n === out.shape[1] && k === depth && k > 0;
  return alike && k % (dtype === 'f32' ? 4 : 8) === 0 && isContiguous(x) && isContiguous(w);
}

interface Shape {
  readonly type: DType;
  readonly out: DType;
  readonly rows: number;
  readonly depth: number;
  /** of each product */
  readonly columns: readonly number[];
  readonly normed: boolean;
  readonly gated: boolean;
}

export interface FewRows extends Shape {
  readonly x: Pointer;
  readonly alpha: number;
  readonly norm: Pointer;
  readonly eps: number;
  /** the weights, biases and the norm's weight are states that the program only reads */
  readonly states: boolean;
  readonly weights: readonly {
    readonly w: Pointer;
    readonly bias: Pointer;
    readonly c: Pointer;
    readonly y: Pointer;
  }[];
}

/** Blocks that keep the memory busy: two on every multiprocessor of an H100. */
const BLOCKS = 264;
const WARPS = 8;

/** How skinny.cu divides the work; see there. */
function division({ rows, depth, columns, normed, gated }: Shape) {
  const tiles = columns.reduce((sum, n) => sum + ceil(n, 8), 0);
  // More columns a warp read x less often, which counts where there is much of it.
  const TILES = gated || rows > 8 || tiles >= 4 * BLOCKS ? 2 : 1;
  const warps = ceil(tiles, TILES);
  // Blocks share K where x is long, since each block reads all of the x that it multiplies.
  const deep = rows > 8 && depth >= 4096 && !normed && !gated;
  const least = rows > 32 ? BLOCKS / 2 : BLOCKS;
  const SPLIT = deep ? 2 : ([1, 2, 4].find((split) => ceil(warps * split, WARPS) >= least) ?? 8);
  const blocks = ceil(warps * SPLIT, WARPS);
  const chunks = ceil(depth, 32);
  const SHARES = deep ? Math.max(1, Math.min(8, Math.floor(BLOCKS / blocks))) : 1;
  const each = ceil(chunks, SPLIT * SHARES);
  // Some 96 KiB under way on a multiprocessor, which holds three blocks, or two where the sums are many.
  const AHEAD = Math.min(each, rows > 16 ? 6 : 8 / TILES);
  const macros = { ROWS: rows, TILES, SPLIT, SHARES, AHEAD, NORM: +normed, GATED: +gated };
  const shared = WARPS * TILES * Math.max(512 * AHEAD, 32 * 8 * ceil(rows, 8));
  const made = (WARPS / SPLIT) * (gated ? TILES / 2 : TILES) * 8;
  return { macros, blocks, shared, partialBytes: SHARES > 1 ? blocks * SHARES * rows * made * 4 : 0 };
}

/** Working memory of the launch. */
export const fewRowsScratch = (shape: Shape): number => (shape.type === 'bf16' ? division(shape).partialBytes : 0);

export function enqueueFewRows(run: Enqueuer, products: FewRows): void {
  const { type, x, depth, alpha, columns } = products;
  const weights = Array.from({ length: MOST_PRODUCTS }, (_, n): Argument => {
    const one = products.weights[n] ?? { w: 0, bias: 0, c: 0, y: 0 };
    return structOf([one.w, one.bias, one.c, one.y], [products.weights[n] ? columns[n]! : 0]);
  });
  if (type !== 'bf16') {
    enqueueGemv(run, products, weights);
    return;
  }
  const { macros, blocks, shared } = division(products);
  const first = ceil(columns[0]!, 8);
  const second = first + ceil(columns[1] ?? 0, 8);
  const arrivals = macros.SHARES > 1 ? run.table(Buffer.alloc(blocks * 4)) : 0;
  const sizes = [i(first), i(second), i(depth), f(alpha), f(products.eps), p(run.scratch), p(arrivals)];
  const defines = { O: C_TYPE[products.out], STATES: +products.states, ...macros };
  const made = kernelOf(['skinny.cu'], 'skinny', defines, shared);
  run.launch(waiting(made), [blocks, macros.SHARES, 1], 256, [p(x), p(products.norm), ...weights, ...sizes]);
}

/** About the warps that run at once. */
const FULL_WARPS = 6144;

function enqueueGemv(run: Enqueuer, { type, out, rows, x, depth, columns, alpha }: FewRows, weights: Argument[]): void {
  const VECTOR = type === 'f32' ? 4 : 8;
  const total = columns.reduce((sum, n) => sum + n, 0);
  // Enough warps to keep the memory busy, each with all of its loads under way at once where they are few.
  const SPLIT = [1, 2, 4].find((warps) => total * warps >= FULL_WARPS) ?? 8;
  const AHEAD = Math.min(8, ceil(depth, 32 * SPLIT * VECTOR));
  const macros = { T: C_TYPE[type], O: C_TYPE[out], ROWS: rows, VECTOR, SPLIT, AHEAD };
  const sizes = [i(columns[0]!), i(columns[0]! + (columns[1] ?? 0)), i(depth), f(alpha)];
  run.launch(kernel('gemv', 'gemv', macros), ceil(total, 8 / SPLIT), 256, [p(x), ...weights, ...sizes]);
}

export type FewRowsAttrs = {
  readonly alpha: number;
  /** of the RMS norm that x goes through first; null for none */
  readonly eps: number | null;
  readonly gated: boolean;
  /** 1 for each product with a bias */
  readonly biases: readonly number[];
  /** c is added to the one product */
  readonly accumulate: boolean;
  readonly states: boolean;
};

/** Inputs: x, the norm's weight if there is one, then of each product the weight and its bias if it has one, then c. */
export const fewRows = ({ alpha, eps, gated, biases, accumulate, states }: FewRowsAttrs, lowered: Lowered) => {
  const [x, ...rest] = lowered.views as [View, ...View[]];
  const outputs = lowered.outputs as Value[];
  const norm = eps === null ? undefined : rest.shift();
  const products = biases.map((bias) => ({ w: rest.shift()!, bias: bias ? rest.shift() : undefined }));
  const c = accumulate ? rest.shift() : undefined;
  const [rows, depth] = x.shape as [number, number];
  const shape: Shape = {
    ...{ type: x.root.dtype, out: outputs[0]!.dtype, rows, depth, columns: products.map(({ w }) => w.shape[0]!) },
    ...{ normed: norm !== undefined, gated },
  };
  return {
    scratch: fewRowsScratch(shape),
    enqueue(run: Enqueuer) {
      const at = (view: View | undefined): Pointer => (view ? run.at(view) : 0);
      const weights = products.map(({ w, bias }, n) => {
        return { w: run.at(w), bias: at(bias), c: at(c), y: run.to(outputs[gated ? 0 : n]!) };
      });
      enqueueFewRows(run, { ...shape, x: run.at(x), norm: at(norm), eps: eps ?? 0, alpha, states, weights });
    },
  };
};
