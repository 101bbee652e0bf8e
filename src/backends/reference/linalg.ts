// Kernels around products and normalisation by rows: matmul, softmax, RMS and layer norm with their gradients, rope.
import { sizeOf } from '../../graph/types.ts';
import { floats, type Kernels, zeros } from './kernel.ts';

/** Calls visit(first index, index of the row, read) for each row, where read(f) is the mean of f over the row. */
function rows(
  [count, width]: readonly number[],
  visit: (start: number, row: number, mean: (f: (i: number, column: number) => number) => number) => void,
): void {
  for (let row = 0; row < count!; row++) {
    const start = row * width!;
    visit(start, row, (f) => {
      let sum = 0;
      for (let c = 0; c < width!; c++) sum += f(start + c, c);
      return sum / width!;
    });
  }
}

export const linalg: Kernels<
  'matmul' | 'softmax' | 'rms_norm' | 'rms_norm_grad' | 'layer_norm' | 'layer_norm_grad' | 'rope'
> = {
  matmul([a, b], { transA, transB }, [type]) {
    const x = floats(a);
    const y = floats(b);
    const [m, n] = type!.shape.slice(-2) as [number, number];
    const k = a!.type.shape.at(transA ? -2 : -1)!;
    const batch = sizeOf(type!.shape.slice(0, -2));
    const out = new Float64Array(batch * m * n);
    for (let s = 0; s < batch; s++)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++)
            sum += x[s * m * k + (transA ? l * m + i : i * k + l)]! * y[s * k * n + (transB ? j * k + l : l * n + j)]!;
          out[s * m * n + i * n + j] = sum;
        }
    return [out];
  },

  softmax([x]) {
    const values = floats(x);
    const width = x!.type.shape.at(-1)!;
    const out = new Float64Array(values.length);
    for (let start = 0; start < values.length; start += width) {
      const row = values.subarray(start, start + width);
      const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const total = row.reduce((sum, value) => sum + Math.exp(value - max), 0);
      for (let c = 0; c < width; c++) out[start + c] = Math.exp(row[c]! - max) / total;
    }
    return [out];
  },

  rms_norm([x, w], { eps }, [type, stat]) {
    const [values, weight] = [floats(x), floats(w)];
    const y = new Float64Array(values.length);
    const rstd = zeros(stat!);
    rows(type!.shape, (start, row, mean) => {
      const r = 1 / Math.sqrt(mean((i) => values[i]! ** 2) + eps);
      rstd[row] = r;
      for (let c = 0; c < weight.length; c++) y[start + c] = values[start + c]! * r * weight[c]!;
    });
    return [y, rstd];
  },

  rms_norm_grad([dy, x, w, rstd]) {
    const [g, values, weight, r] = [floats(dy), floats(x), floats(w), floats(rstd)];
    const dx = new Float64Array(values.length);
    const dw = new Float64Array(weight.length);
    rows(x!.type.shape, (start, row, mean) => {
      const s = r[row]!;
      const projection = mean((i, c) => g[i]! * weight[c]! * values[i]! * s);
      for (let c = 0; c < weight.length; c++) {
        const i = start + c;
        dx[i] = s * (g[i]! * weight[c]! - values[i]! * s * projection);
        dw[c]! += g[i]! * values[i]! * s;
      }
    });
    return [dx, dw];
  },

  layer_norm([x, w, b], { eps }, [type, stat]) {
    const [values, weight, bias] = [floats(x), floats(w), floats(b)];
    const y = new Float64Array(values.length);
    const [means, rstd] = [zeros(stat!), zeros(stat!)];
    rows(type!.shape, (start, row, mean) => {
      const mu = mean((i) => values[i]!);
      const r = 1 / Math.sqrt(mean((i) => (values[i]! - mu) ** 2) + eps);
      means[row] = mu;
      rstd[row] = r;
      for (let c = 0; c < weight.length; c++) y[start + c] = (values[start + c]! - mu) * r * weight[c]! + bias[c]!;
    });
    return [y, means, rstd];
  },

  layer_norm_grad([dy, x, w, mean, rstd]) {
    const [g, values, weight, mu, r] = [floats(dy), floats(x), floats(w), floats(mean), floats(rstd)];
    const dx = new Float64Array(values.length);
    const dw = new Float64Array(weight.length);
    const db = new Float64Array(weight.length);
    rows(x!.type.shape, (start, row, average) => {
      const normal = (i: number): number => (values[i]! - mu[row]!) * r[row]!;
      const push = average((i, c) => g[i]! * weight[c]!);
      const projection = average((i, c) => g[i]! * weight[c]! * normal(i));
      for (let c = 0; c < weight.length; c++) {
        const i = start + c;
        dx[i] = r[row]! * (g[i]! * weight[c]! - push - normal(i) * projection);
        dw[c]! += g[i]! * normal(i);
        db[c]! += g[i]!;
      }
    });
    return [dx, dw, db];
  },

  rope([x, cos, sin], { inverse }) {
    const [values, c, s] = [floats(x), floats(cos), floats(sin)];
    const [tokens, heads, width] = x!.type.shape as [number, number, number];
    const half = width / 2;
    const out = new Float64Array(values.length);
    for (let t = 0; t < tokens; t++)
      for (let h = 0; h < heads; h++)
        for (let i = 0; i < half; i++) {
          const at = (t * heads + h) * width + i;
          const [re, im] = [values[at]!, values[at + half]!];
          const turn = s[t * half + i]! * (inverse ? -1 : 1);
          out[at] = re * c[t * half + i]! - im * turn;
          out[at + half] = im * c[t * half + i]! + re * turn;
        }
    return [out];
  },
};
