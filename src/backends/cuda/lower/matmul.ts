// Sums of matrix products: cuBLASLt, the first with bias and addend, the others added to its result; and for a few rows,
// as when decoding, a kernel that reads the weights once (kernels/gemv.cu).
import type { Value } from '../../../graph/graph.ts';
import { bytesOf, sizeOf } from '../../../graph/types.ts';
import type { MatmulShape, MatmulType } from '../ffi/cublaslt.ts';
import type { Pointer } from '../ffi/driver.ts';
import type { MatmulSumAttrs } from '../items.ts';
import { kernel } from '../kernels.ts';
import { C_TYPE } from '../pointwise.ts';
import { ceil, type Enqueuer, f, i, type Lowered, p } from '../step.ts';
import { isContiguous, reshapeView, rowStride, transposeView, type View } from '../view.ts';

/** How cuBLASLt reads a matrix view: rows that lie `ld` apart, or columns that do when it is transposed. */
interface Operand {
  readonly ld: number;
  readonly trans: boolean;
  readonly stride: number;
}

function operand(view: View, trans: boolean): Operand {
  const rank = view.shape.length;
  const lead = { shape: view.shape.slice(0, -2), strides: view.strides.slice(0, -2) };
  const count = sizeOf(lead.shape);
  const stride = count > 1 ? reshapeView({ ...view, ...lead }, [count])!.strides[0]! : 0;
  const ld = rowStride(view);
  if (ld !== null) return { ld, trans, stride };
  const flipped = transposeView(view, [...lead.shape.keys(), rank - 1, rank - 2]);
  return { ld: rowStride(flipped)!, trans: !trans, stride };
}

export function enqueueProducts(run: Enqueuer, attrs: MatmulSumAttrs, views: readonly View[], out: Value): void {
  const { transA, transB, alpha, bias, accumulate } = attrs;
  const [m, n] = out.shape.slice(-2) as [number, number];
  const batch = sizeOf(out.shape.slice(0, -2));
  const to = run.to(out);
  const ldd = run.rowStride(out) ?? n;
  if (sizeOf(out.shape) === 0) return;
  const extras = views.slice(2 * alpha.length).map((view) => run.at(view));
  alpha.forEach((scale, t) => {
    const [viewA, viewB] = [views[2 * t]!, views[2 * t + 1]!];
    const k = viewA.shape.at(transA[t] ? -2 : -1)!;
    const first = t === 0;
    const withC = first ? accumulate : true;
    if (k === 0) {
      if (first && !accumulate) run.fill(to, bytesOf(out.type));
      return;
    }
    const [a, b] = [operand(viewA, transA[t] === 1), operand(viewB, transB[t] === 1)];
    if (!transA[t] && transB[t] && isSkinny(viewA, viewB, out) && ldd === n) {
      const c = withC ? (first ? extras.at(-1)! : to) : 0;
      enqueueSkinny(run, run.at(viewA), [{ w: viewB, bias: first && bias ? extras[0]! : 0, c, y: out }], k, scale);
      return;
    }
    const shape: MatmulShape = {
      ...{ m, n, k, batch, transA: a.trans, transB: b.trans },
      type: viewA.root.dtype as MatmulType,
      outType: out.dtype as MatmulType,
      // Without an addend c is d itself.
      ...{ lda: a.ld, ldb: b.ld, ldc: first && accumulate ? n : ldd, ldd },
      ...{ strideA: a.stride, strideB: b.stride, strideD: m * n },
      bias: first && bias,
      accumulate: withC,
    };
    const pointers = {
      a: run.at(viewA),
      b: run.at(viewB),
      c: first && accumulate ? extras.at(-1)! : to,
      d: to,
      bias: first && bias ? extras[0]! : 0,
    };
    run.matmul(shape, pointers, scale, withC ? 1 : 0);
  });
}

const MOST_SKINNY_ROWS = 4;
/** About the warps that run at once. */
const FULL_WARPS = 6144;

/** Few rows that lie side by side, and weights whose rows do, as x [M, K] · w [N, K]ᵀ reads them. */
export function isSkinny(x: View, w: View, out: Value): boolean {
  if (out.shape.length !== 2 || out.shape[0]! > MOST_SKINNY_ROWS || x.root.dtype !== w.root.dtype) return false;
  const [m, k] = x.shape as [number, number];
  const [n, depth] = w.shape as [number, number];
  const alike = m === out.shape[0] && n === out.shape[1] && k === depth;
  return alike && k % (w.root.dtype === 'f32' ? 4 : 8) === 0 && isContiguous(x) && isContiguous(w);
}

interface Skinny {
  readonly w: View;
  readonly bias: Pointer;
  readonly c: Pointer;
  readonly y: Value;
}

/** Up to three products of the same rows as one launch. */
function enqueueSkinny(run: Enqueuer, x: Pointer, weights: readonly Skinny[], k: number, alpha: number): void {
  const [{ w, y }] = weights as [Skinny];
  const VECTOR = w.root.dtype === 'f32' ? 4 : 8;
  const columns = weights.map((one) => one.y.shape[1]!);
  const total = columns.reduce((sum, n) => sum + n, 0);
  // Enough warps to keep the memory busy, each with all of its loads under way at once where they are few.
  const SPLIT = [1, 2, 4].find((warps) => total * warps >= FULL_WARPS) ?? 8;
  const AHEAD = Math.min(8, ceil(k, 32 * SPLIT * VECTOR));
  const macros = { T: C_TYPE[w.root.dtype], O: C_TYPE[y.dtype], ROWS: y.shape[0]!, VECTOR, SPLIT, AHEAD };
  const structs = [0, 1, 2].map((n) => {
    const bytes = Buffer.alloc(40);
    const one = weights[n];
    if (!one) return { s: bytes };
    [run.at(one.w), one.bias, one.c, run.to(one.y)].forEach((pointer, word) => {
      bytes.writeBigUInt64LE(BigInt(pointer), 8 * word);
    });
    bytes.writeInt32LE(columns[n]!, 32);
    return { s: bytes };
  });
  const first = columns[0]!;
  const second = first + (columns[1] ?? 0);
  const sizes = [i(first), i(second), i(k), f(alpha)];
  run.launch(kernel('gemv', 'gemv', macros), ceil(total, 8 / SPLIT), 256, [p(x), ...structs, ...sizes]);
}

/** Several products of one x, each with at most a bias. */
export const skinnyProducts = (
  products: readonly { readonly attrs: MatmulSumAttrs; readonly views: readonly View[]; readonly out: Value }[],
) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const [{ attrs, views }] = products as [(typeof products)[number]];
    const weights = products.map((one): Skinny => {
      const bias = one.views[2];
      return { w: one.views[1]!, bias: bias ? run.at(bias) : 0, c: 0, y: one.out };
    });
    enqueueSkinny(run, run.at(views[0]!), weights, views[0]!.shape[1]!, attrs.alpha[0]!);
  },
});

export const matmulSum = (attrs: MatmulSumAttrs, { views, outputs }: Lowered) => ({
  scratch: 0,
  enqueue: (run: Enqueuer) => enqueueProducts(run, attrs, views, outputs[0]!),
});
