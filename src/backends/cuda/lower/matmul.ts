// Sums of matrix products: cuBLASLt, the first with the addend, the others added to its result, the last with the bias;
// and for few rows, as when decoding, kernels that read the weights once (few_rows.ts).
import type { Value } from '../../../graph/graph.ts';
import { bytesOf, sizeOf } from '../../../graph/types.ts';
import type { MatmulShape, MatmulType } from '../ffi/cublaslt.ts';
import type { MatmulSumAttrs } from '../items.ts';
import type { Enqueuer, Lowered } from '../step.ts';
import { reshapeView, rowStride, transposeView, type View } from '../view.ts';
import { enqueueFewRows, isFewRows } from './few_rows.ts';

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

function enqueueProducts(run: Enqueuer, attrs: MatmulSumAttrs, views: readonly View[], out: Value): void {
  const { transA, transB, alpha, bias, accumulate } = attrs;
  const [m, n] = out.shape.slice(-2) as [number, number];
  const batch = sizeOf(out.shape.slice(0, -2));
  const to = run.to(out);
  const ldd = run.rowStride(out) ?? n;
  if (sizeOf(out.shape) === 0) return;
  const extras = views.slice(2 * alpha.length).map((view) => run.at(view));
  // Short sums first: a long one takes what lies there along for nothing, a short one would take a pass for it.
  const depthOf = (t: number) => views[2 * t]!.shape.at(transA[t] ? -2 : -1)!;
  const order = [...alpha.keys()].sort((s, t) => depthOf(s) - depthOf(t));
  order.forEach((t, place) => {
    const [viewA, viewB] = [views[2 * t]!, views[2 * t + 1]!];
    const k = depthOf(t);
    const scale = alpha[t]!;
    const first = place === 0;
    const biased = bias && place === order.length - 1;
    const withC = first ? accumulate : true;
    if (k === 0) {
      if (first && !accumulate) run.fill(to, bytesOf(out.type));
      return;
    }
    const [a, b] = [operand(viewA, transA[t] === 1), operand(viewB, transB[t] === 1)];
    const few = fewRowsOf(attrs, views, out, t);
    if (few && ldd === n) {
      const c = withC ? (first ? extras.at(-1)! : to) : 0;
      const weights = [{ w: run.at(viewB), bias: biased ? extras[0]! : 0, c, y: to }];
      enqueueFewRows(run, { ...few, x: run.at(viewA), alpha: scale, norm: 0, eps: 0, states: false, weights });
      return;
    }
    const shape: MatmulShape = {
      ...{ m, n, k, batch, transA: a.trans, transB: b.trans },
      type: viewA.root.dtype as MatmulType,
      outType: out.dtype as MatmulType,
      // Without an addend c is d itself.
      ...{ lda: a.ld, ldb: b.ld, ldc: first && accumulate ? n : ldd, ldd },
      ...{ strideA: a.stride, strideB: b.stride, strideD: m * n },
      bias: biased,
      accumulate: withC,
    };
    const pointers = {
      a: run.at(viewA),
      b: run.at(viewB),
      c: first && accumulate ? extras.at(-1)! : to,
      d: to,
      bias: biased ? extras[0]! : 0,
    };
    run.matmul(shape, pointers, scale, withC ? 1 : 0);
  });
}

/** Term t of a sum as a product of few rows; null where it is none. */
function fewRowsOf({ transA, transB }: MatmulSumAttrs, views: readonly View[], out: Value, t: number) {
  const [x, w] = [views[2 * t]!, views[2 * t + 1]!];
  if (transA[t] || !transB[t] || !isFewRows(x, w, out)) return null;
  const [rows, depth] = x.shape as [number, number];
  const types = { type: x.root.dtype, out: out.dtype };
  return { ...types, rows, depth, columns: [w.shape[0]!], normed: false, gated: false };
}

export const matmulSum = (attrs: MatmulSumAttrs, { views, outputs: [out] }: Lowered) => ({
  scratch: 0,
  enqueue: (run: Enqueuer) => enqueueProducts(run, attrs, views, out!),
});
