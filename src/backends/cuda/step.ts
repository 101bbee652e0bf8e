// A step: one unit of the program lowered to launches, library calls and copies. Sizes are known when it is made,
// addresses when it is enqueued.
import type { Value } from '../../graph/graph.ts';
import type { MatmulPointers, MatmulShape } from './ffi/cublaslt.ts';
import type { Argument, Pointer } from './ffi/driver.ts';
import type { Kernel } from './kernels.ts';
import type { View } from './view.ts';

export interface Step {
  /** what an error calls it: the op and its shapes */
  readonly label: string;
  readonly reads: readonly View[];
  readonly writes: readonly Value[];
  /** bytes of working memory while it runs */
  readonly scratch: number;
  /** each element is read before it is written, and by the same thread: it can work in place */
  readonly elementwise?: boolean;
  /** kernels made for it, which are compiled with those of the other steps */
  readonly kernels?: readonly Kernel[];
  enqueue(run: Enqueuer): void;
}

/** Where a step puts its work. */
export interface Enqueuer {
  /** the first element of a view */
  at(view: View): Pointer;
  /** the first element of a value that the step writes */
  to(value: Value): Pointer;
  /** how far apart the rows of a written matrix lie, when it lies within another; else null */
  rowStride(value: Value): number | null;
  readonly scratch: Pointer;
  /** shared memory that a block may have */
  readonly sharedBytes: number;
  /** bytes that lie on the device from before the first run */
  table(bytes: Buffer): Pointer;
  launch(
    kernel: Kernel,
    grid: number | readonly [number, number, number],
    block: number,
    args: readonly Argument[],
  ): void;
  matmul(shape: MatmulShape, pointers: MatmulPointers, alpha: number, beta: number): void;
  copy(to: Pointer, from: Pointer, bytes: number): void;
  fill(to: Pointer, bytes: number): void;
}

export const p = (pointer: Pointer): Argument => ({ p: pointer });
export const i = (value: number): Argument => ({ i: value });
export const f = (value: number): Argument => ({ f: value });

export const ceil = (n: number, by: number): number => Math.ceil(n / by);

/** How a lowering sees an item's inputs and outputs. */
export interface Lowered {
  readonly views: readonly View[];
  /** null for outputs that nobody reads */
  readonly outputs: readonly (Value | null)[];
}

/** The largest of 8, 4, 2, 1 elements that divides a row. */
export const vectorOf = (columns: number): number => [8, 4, 2].find((width) => columns % width === 0) ?? 1;
