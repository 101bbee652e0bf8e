// Kernels of training: the loss of a linear head, the dropout mask and the AdamW update.
import { mix32 } from '../../shared/random.ts';
import { floats, type Kernels, zeros } from './kernel.ts';

export const training: Kernels<'linear_cross_entropy' | 'dropout_mask' | 'sum_of_squares' | 'adamw'> = {
  linear_cross_entropy([h, w, targets, weights], { weightGrad }) {
    const [hs, ws, scale] = [floats(h), floats(w), floats(weights)];
    const [rows, hidden] = h!.type.shape as [number, number];
    const vocabulary = w!.type.shape[0]!;
    const dh = new Float64Array(hs.length);
    const dw = new Float64Array(ws.length);
    let loss = 0;
    for (let m = 0; m < rows; m++) {
      const target = targets!.data[m]!;
      if (target < 0 || target >= vocabulary)
        throw new Error(`linear_cross_entropy: target ${target} of ${vocabulary} classes`);
      const logits = Array.from({ length: vocabulary }, (_, v) => {
        let sum = 0;
        for (let c = 0; c < hidden; c++) sum += hs[m * hidden + c]! * ws[v * hidden + c]!;
        return sum;
      });
      const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const lse = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
      loss += scale[m]! * (lse - logits[target]!);
      for (let v = 0; v < vocabulary; v++) {
        const g = scale[m]! * (Math.exp(logits[v]! - lse) - (v === target ? 1 : 0));
        for (let c = 0; c < hidden; c++) {
          dh[m * hidden + c]! += g * ws[v * hidden + c]!;
          dw[v * hidden + c]! += g * hs[m * hidden + c]!;
        }
      }
    }
    return [Float64Array.of(loss), dh, ...(weightGrad ? [dw] : [])];
  },

  dropout_mask([tick], { p, key }, [type]) {
    const out = zeros(type!);
    const k = mix32((tick!.data[0]! ^ key) >>> 0);
    const threshold = Math.floor(p * 2 ** 32);
    for (let i = 0; i < out.length; i++) {
      const bits = mix32((Math.imul(i, 0x9e3779b9) + k) >>> 0);
      out[i] = bits >= threshold ? 1 / (1 - p) : 0;
    }
    return [out];
  },

  sum_of_squares: (inputs) => [
    Float64Array.of(inputs.reduce((sum, x) => floats(x).reduce((all, value) => all + value * value, sum), 0)),
  ],

  adamw(inputs, { beta1, beta2, eps, weightDecay }) {
    const [p, g, m, v] = inputs.slice(0, 4).map(floats) as [Float64Array, Float64Array, Float64Array, Float64Array];
    const [lr, scale, c1, c2] = inputs.slice(4).map((x) => floats(x)[0]) as [number, number, number, number];
    if (!Number.isFinite(scale)) return [p, m, v];
    const m1 = m.map((old, i) => beta1 * old + (1 - beta1) * g[i]! * scale);
    const v1 = v.map((old, i) => beta2 * old + (1 - beta2) * (g[i]! * scale) ** 2);
    const p1 = p.map(
      (old, i) => old * (1 - lr * weightDecay) - ((lr / c1) * m1[i]!) / (Math.sqrt(v1[i]!) / Math.sqrt(c2) + eps),
    );
    return [p1, m1, v1];
  },
};
