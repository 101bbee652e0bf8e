// Attention kernels, written from the definition: for each query the list of keys it may see, then a softmax over it.
import { floats, type Kernels, type Tensor } from './kernel.ts';

const dot = (a: Float64Array, i: number, b: Float64Array, j: number, width: number): number => {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += a[i + c]! * b[j + c]!;
  return sum;
};

interface Softmax {
  readonly p: number[];
  readonly lse: number;
}

function softmaxOf(scores: readonly number[]): Softmax {
  const max = Math.max(...scores);
  const total = scores.reduce((sum, s) => sum + Math.exp(s - max), 0);
  const lse = max + Math.log(total);
  return { p: scores.map((s) => Math.exp(s - lse)), lse };
}

/** The tokens that token i sees: same block of `row`, same segment, none later when causal. */
function seen(segments: Tensor, i: number, row: number, causal: boolean): number[] {
  const first = i - (i % row);
  const ids = segments.data;
  return Array.from({ length: row }, (_, n) => first + n).filter((j) => ids[j] === ids[i] && (!causal || j <= i));
}

interface Packed {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  /** Offset of the query row of a token and head, and of the key row it meets at token j. */
  readonly queryAt: (token: number, head: number) => number;
  readonly keyAt: (token: number, head: number) => number;
}

function packed(q: Tensor, k: Tensor): Packed {
  const [tokens, heads, width] = q.type.shape as [number, number, number];
  const kvHeads = k.type.shape[1]!;
  const group = heads / kvHeads;
  return {
    tokens,
    heads,
    kvHeads,
    width,
    queryAt: (token, head) => (token * heads + head) * width,
    keyAt: (token, head) => (token * kvHeads + Math.floor(head / group)) * width,
  };
}

export const attentions: Kernels<'attention' | 'attention_grad' | 'cached_attention'> = {
  attention([q, k, v, segments], { row, causal, scale }) {
    const { tokens, heads, width, queryAt, keyAt } = packed(q!, k!);
    const [qs, ks, vs] = [floats(q), floats(k), floats(v)];
    const out = new Float64Array(qs.length);
    const lses = new Float64Array(tokens * heads);
    for (let i = 0; i < tokens; i++) {
      const keys = seen(segments!, i, row, causal);
      for (let h = 0; h < heads; h++) {
        const { p, lse } = softmaxOf(keys.map((j) => scale * dot(qs, queryAt(i, h), ks, keyAt(j, h), width)));
        lses[i * heads + h] = lse;
        for (const [n, j] of keys.entries())
          for (let c = 0; c < width; c++) out[queryAt(i, h) + c]! += p[n]! * vs[keyAt(j, h) + c]!;
      }
    }
    return [out, lses];
  },

  attention_grad([dout, q, k, v, segments, out, lse], { row, causal, scale }) {
    const { tokens, heads, width, queryAt, keyAt } = packed(q!, k!);
    const [g, qs, ks, vs, o, lses] = [floats(dout), floats(q), floats(k), floats(v), floats(out), floats(lse)];
    const dq = new Float64Array(qs.length);
    const dk = new Float64Array(ks.length);
    const dv = new Float64Array(vs.length);
    for (let i = 0; i < tokens; i++) {
      const keys = seen(segments!, i, row, causal);
      for (let h = 0; h < heads; h++) {
        const a = queryAt(i, h);
        const delta = dot(g, a, o, a, width);
        for (const j of keys) {
          const b = keyAt(j, h);
          const p = Math.exp(scale * dot(qs, a, ks, b, width) - lses[i * heads + h]!);
          const ds = p * (dot(g, a, vs, b, width) - delta) * scale;
          for (let c = 0; c < width; c++) {
            dq[a + c]! += ds * ks[b + c]!;
            dk[b + c]! += ds * qs[a + c]!;
            dv[b + c]! += p * g[a + c]!;
          }
        }
      }
    }
    return [dq, dk, dv];
  },

  cached_attention([q, kNew, vNew, kCache, vCache, lengths], { scale }) {
    const [qs, kn, vn, kc, vc] = [floats(q), floats(kNew), floats(vNew), floats(kCache), floats(vCache)];
    const [batch, heads, width] = q!.type.shape as [number, number, number];
    const [, kvHeads, length] = kCache!.type.shape as [number, number, number, number];
    const out = new Float64Array(qs.length);
    for (let b = 0; b < batch; b++) {
      const old = lengths!.data[b]!;
      if (old < 0 || old > length) throw new Error(`cached_attention: ${old} cached rows of ${length}`);
      for (let h = 0; h < heads; h++) {
        const at = (b * heads + h) * width;
        const kv = b * kvHeads + Math.floor(h / (heads / kvHeads));
        // Each key by the array it lies in and its offset: the cached rows, then the new one.
        const keys = Array.from({ length: old }, (_, n) => ({ k: kc, v: vc, at: (kv * length + n) * width }));
        keys.push({ k: kn, v: vn, at: kv * width });
        const { p } = softmaxOf(keys.map((key) => scale * dot(qs, at, key.k, key.at, width)));
        for (const [n, key] of keys.entries())
          for (let c = 0; c < width; c++) out[at + c]! += p[n]! * key.v[key.at + c]!;
      }
    }
    return [out];
  },
};
