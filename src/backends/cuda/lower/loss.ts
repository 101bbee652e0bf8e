// The cross-entropy of a linear head: logits in float32, a chunk of rows at a time, turned into the loss and the gradient
// of the logits in one kernel; then the products that carry the gradient on.
import { bytesOf } from '../../../graph/types.ts';
import type { MatmulShape, MatmulType } from '../ffi/cublaslt.ts';
import { kernel } from '../kernels.ts';
import { C_TYPE } from '../pointwise.ts';
import { type Enqueuer, i, type Lowered, p } from '../step.ts';

/** Logits of a chunk at least, in bytes: a small vocabulary's chunks would be many launches for little memory. */
const LEAST_LOGITS = 2 ** 27;
const align = (n: number): number => Math.ceil(n / 256) * 256;

export const linearCrossEntropy = (
  { weightGrad, chunk: wanted }: { weightGrad: boolean; chunk: number },
  { views: [h, w, targets, weights], outputs: [loss, dh, dw] }: Lowered,
) => {
  const [rows, hidden] = h!.shape as [number, number];
  const vocabulary = w!.shape[0]!;
  const type = h!.root.dtype as MatmulType;
  const size = type === 'f32' ? 4 : 2;
  const chunk = Math.min(rows, Math.max(wanted, Math.floor(LEAST_LOGITS / 4 / vocabulary)));
  const logitsBytes = align(chunk * vocabulary * 4);
  const gradBytes = align(chunk * vocabulary * size);
  return {
    scratch: logitsBytes + gradBytes + align(rows * 4),
    enqueue(run: Enqueuer) {
      const [logits, g, losses] = [run.scratch, run.scratch + logitsBytes, run.scratch + logitsBytes + gradBytes];
      const [atH, atW] = [run.at(h!), run.at(w!)];
      for (let start = 0; start < rows; start += chunk) {
        const m = Math.min(chunk, rows - start);
        const base = { batch: 1, strideA: 0, strideB: 0, strideD: 0, bias: false, type };
        const part = atH + start * hidden * size;
        const forward: MatmulShape = {
          ...base,
          ...{ m, n: vocabulary, k: hidden, transA: false, transB: true, outType: 'f32', accumulate: false },
          ...{ lda: hidden, ldb: hidden, ldc: vocabulary, ldd: vocabulary },
        };
        run.matmul(forward, { a: part, b: atW, c: logits, d: logits, bias: 0 }, 1, 0);
        const args = [p(logits), p(run.at(targets!) + start * 4), p(run.at(weights!) + start * 4)];
        const results = [p(losses + start * 4), p(g), i(vocabulary)];
        run.launch(kernel('loss', 'cross_entropy', { T: C_TYPE[type] }), m, 512, [...args, ...results]);
        if (dh) {
          const to = run.to(dh) + start * hidden * size;
          const back: MatmulShape = {
            ...base,
            ...{ m, n: hidden, k: vocabulary, transA: false, transB: false, outType: type, accumulate: false },
            ...{ lda: vocabulary, ldb: hidden, ldc: hidden, ldd: hidden },
          };
          run.matmul(back, { a: g, b: atW, c: to, d: to, bias: 0 }, 1, 0);
        }
        if (dw && weightGrad) {
          const to = run.to(dw);
          const weight: MatmulShape = {
            ...base,
            ...{ m: vocabulary, n: hidden, k: m, transA: true, transB: false, outType: type, accumulate: start > 0 },
            ...{ lda: vocabulary, ldb: hidden, ldc: hidden, ldd: hidden },
          };
          run.matmul(weight, { a: g, b: part, c: to, d: to, bias: 0 }, 1, start > 0 ? 1 : 0);
        }
      }
      if (loss)
        run.launch(kernel('loss', 'sum_all', { T: C_TYPE[type] }), 1, 512, [p(losses), p(run.to(loss)), i(rows)]);
      else if (rows === 0 && dh) run.fill(run.to(dh), bytesOf(dh.type));
    },
  };
};
