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
/** Shared memory for a row of x, whose length is such that eight lanes' loads meet every bank once. */
const stagedBytes = (depth: number): number => (ceil(depth, 32) | 1) * 64;
/** For all of x: what leaves room for the weights under way. */
const MOST_STAGED_BYTES = 64 << 10;
/** Whether skinny.cu keeps x in shared memory. */
export const canStage = (rows: number, depth: number): boolean => rows * stagedBytes(depth) <= MOST_STAGED_BYTES;

/** Where cuBLASLt was seen to be quicker (docs/log.md): vocabularies, and much x with long sums or large weights. */
const isWide = (m: number, n: number, k: number): boolean =>
  n >= 2 ** 16 || (!canStage(m, k) && (k >= 4096 || n * k > 2 ** 22));

/** Whether the norm of x, and SwiGLU of two products, can be part of the launch. */
export const canNorm = (x: View): boolean => x.root.dtype === 'bf16' && canStage(x.shape[0]!, x.shape[1]!);
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

/** Of an H100 or H200, for which the work is divided. */
const MULTIPROCESSORS = 132;
/** What skinny.cu declares of shared memory is less. */
const STATIC_SHARED = 1024;
/** With more of x to stage, one block a multiprocessor does it once for all of its columns. */
const MOST_STAGED_OFTEN = 24 << 10;

/** How skinny.cu divides the work; see there. */
function division({ rows, depth, columns, normed, gated }: Shape, sharedBytes: number) {
  const tiles = columns.reduce((sum, n) => sum + ceil(n, 8), 0);
  const staged = canStage(rows, depth) ? rows * stagedBytes(depth) : 0;
  // More tiles a warp read x less often, which counts where there is much of it.
  const TILES = gated || rows > 8 || tiles >= 8 * MULTIPROCESSORS ? 2 : 1;
  const units = ceil(tiles, TILES);
  let [WARPS, SPLIT] = [8, 8];
  if (staged > MOST_STAGED_OFTEN) {
    const each = Math.min(18, ceil(units, MULTIPROCESSORS));
    SPLIT = [8, 4, 2].find((split) => each * split <= 24) ?? 1;
    WARPS = each * SPLIT;
  } else SPLIT = [1, 2, 4].find((split) => ceil(units * split, WARPS) >= 4 * MULTIPROCESSORS) ?? 8;
  // What is under way when the kernel in front ends need not be waited for; more would leave room for fewer blocks.
  const most = WARPS > 8 ? 4 : TILES === 1 && rows <= 16 ? 16 : 6;
  const shared = (ahead: number) => WARPS * TILES * Math.max(512 * ahead, 256 * ceil(rows, 8)) + staged;
  let AHEAD = Math.min(ceil(ceil(depth, 32), SPLIT), most);
  while (AHEAD > 1 && shared(AHEAD) > sharedBytes - STATIC_SHARED) AHEAD--;
  const macros = { ROWS: rows, TILES, WARPS, SPLIT, AHEAD, STAGED: +(staged > 0), NORM: +normed, GATED: +gated };
  return { macros, blocks: ceil(units * SPLIT, WARPS), shared: shared(AHEAD) };
}

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
  const { macros, blocks, shared } = division(products, run.sharedBytes);
  const first = ceil(columns[0]!, 8);
  const second = first + ceil(columns[1] ?? 0, 8);
  const sizes = [i(first), i(second), i(depth), f(alpha), f(products.eps)];
  const defines = { O: C_TYPE[products.out], STATES: +products.states, ...macros };
  const made = kernelOf(['skinny.cu'], 'skinny', defines, shared);
  run.launch(waiting(made), blocks, macros.WARPS * 32, [p(x), p(products.norm), ...weights, ...sizes]);
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
    scratch: 0,
    enqueue(run: Enqueuer) {
      const at = (view: View | undefined): Pointer => (view ? run.at(view) : 0);
      const weights = products.map(({ w, bias }, n) => {
        return { w: run.at(w), bias: at(bias), c: at(c), y: run.to(outputs[gated ? 0 : n]!) };
      });
      enqueueFewRows(run, { ...shape, x: run.at(x), norm: at(norm), eps: eps ?? 0, alpha, states, weights });
    },
  };
};
