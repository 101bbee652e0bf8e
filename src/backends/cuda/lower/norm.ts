// Normalisations and their gradients (kernels/norm.cu).
import type { Value } from '../../../graph/graph.ts';
import { kernel, waiting } from '../kernels.ts';
import { C_TYPE } from '../pointwise.ts';
import { ceil, type Enqueuer, f, i, type Lowered, p, vectorOf } from '../step.ts';
import type { View } from '../view.ts';

/** Rows are short against the number of warps that run at once, so few take one, with 16 elements a thread. */
const threadsFor = (columns: number): number => Math.min(512, 32 * ceil(columns, 32 * 16));
/** Shares of the rows that are summed side by side. */
const SHARES = 32;

const rowKernel = (name: string, x: View, w: View) => {
  const columns = x.shape[1]!;
  const [threads, vector] = [threadsFor(columns), vectorOf(columns)];
  return kernel('norm', name, {
    ...{ T: C_TYPE[x.root.dtype], W: C_TYPE[w.root.dtype] },
    ...{ THREADS: threads, VECTOR: vector, PIECES: ceil(columns, threads * vector) },
  });
};

export const rmsNorm = ({ eps }: { eps: number }, { views: [x, w], outputs: [y, rstd] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const [rows, columns] = x!.shape as [number, number];
    const args = [p(run.at(x!)), p(run.at(w!)), p(run.to(y!)), p(run.to(rstd!)), i(columns), f(eps)];
    run.launch(waiting(rowKernel('rms_norm', x!, w!)), rows, threadsFor(columns), args);
  },
});

export const layerNorm = ({ eps }: { eps: number }, { views: [x, w, b], outputs: [y, mean, rstd] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const [rows, columns] = x!.shape as [number, number];
    const inputs = [x!, w!, b!].map((view) => p(run.at(view)));
    const results = [y!, mean!, rstd!].map((value) => p(run.to(value)));
    run.launch(rowKernel('layer_norm', x!, w!), rows, threadsFor(columns), [...inputs, ...results, i(columns), f(eps)]);
  },
});

function weightGrads(
  run: Enqueuer,
  views: readonly [dy: View, x: View, w: View, mean: View | null, rstd: View],
  dw: Value,
  db: Value | null,
) {
  const [dy, x, w, mean, rstd] = views;
  const [rows, columns] = x.shape as [number, number];
  const grid = [ceil(columns, 32), SHARES, 1] as const;
  const at = (view: View | null) => p(view ? run.at(view) : 0);
  run.launch(rowKernel('norm_weight_grad_parts', x, w), grid, 256, [
    at(dy),
    at(x),
    at(mean),
    at(rstd),
    p(run.scratch),
    i(rows),
    i(columns),
  ]);
  const results = [p(run.to(dw)), p(db ? run.to(db) : 0)];
  run.launch(rowKernel('norm_weight_grad', x, w), ceil(columns, 256), 256, [
    p(run.scratch),
    ...results,
    i(SHARES),
    i(columns),
  ]);
}

export const rmsNormGrad = (_attrs: unknown, { views, outputs: [dx, dw] }: Lowered) => {
  const [dy, x, w, rstd] = views as [View, View, View, View];
  const [rows, columns] = x.shape as [number, number];
  return {
    scratch: dw ? SHARES * 2 * columns * 4 : 0,
    enqueue(run: Enqueuer) {
      const inputs = [dy, x, w, rstd].map((view) => p(run.at(view)));
      if (dx)
        run.launch(rowKernel('rms_norm_grad', x, w), rows, threadsFor(columns), [...inputs, p(run.to(dx)), i(columns)]);
      if (dw) weightGrads(run, [dy, x, w, null, rstd], dw, null);
    },
  };
};

export const layerNormGrad = (_attrs: unknown, { views, outputs: [dx, dw, db] }: Lowered) => {
  const [dy, x, w, mean, rstd] = views as [View, View, View, View, View];
  const [rows, columns] = x.shape as [number, number];
  const weights = dw ?? db;
  return {
    scratch: weights ? (SHARES * 2 + 1) * columns * 4 : 0,
    enqueue(run: Enqueuer) {
      const inputs = views.map((view) => p(run.at(view)));
      if (dx)
        run.launch(rowKernel('layer_norm_grad', x, w), rows, threadsFor(columns), [
          ...inputs,
          p(run.to(dx)),
          i(columns),
        ]);
      if (dw) weightGrads(run, [dy, x, w, mean, rstd], dw, db ?? null);
    },
  };
};
