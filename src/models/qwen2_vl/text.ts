// Qwen2-VL's language model: pre-norm decoder with grouped-query attention, M-RoPE and SwiGLU (arXiv 2409.12191),
// over a packed batch or one decoding step over a KV cache.
import type { Value } from '../../graph/graph.ts';
import { inverseFrequencies, rotaryTables } from '../../nn/rotary.ts';
import type { Scope } from '../../nn/scope.ts';
import { add } from '../../ops/add.ts';
import { attention } from '../../ops/attention.ts';
import { cachedAttention } from '../../ops/cached_attention.ts';
import { gatherRows } from '../../ops/gather_rows.ts';
import { less } from '../../ops/less.ts';
import { maximum } from '../../ops/maximum.ts';
import { reshape } from '../../ops/reshape.ts';
import { rmsNorm } from '../../ops/rms_norm.ts';
import { rope } from '../../ops/rope.ts';
import { select } from '../../ops/select.ts';
import { sliceAxis } from '../../ops/slice.ts';
import { swiglu } from '../../ops/swiglu.ts';
import { transpose } from '../../ops/transpose.ts';
import type { Qwen2VLConfig } from './config.ts';

/** What attends: given q [T, heads, d], k and v [T, kvHeads, d] of a layer, the result [T, heads, d]. */
export type Attend = (layer: number, q: Value, k: Value, v: Value) => Value;

const embeddingWeight = (scope: Scope, { text }: Qwen2VLConfig): Value =>
  scope.weight('model.embed_tokens.weight', [text.vocabSize, text.hiddenSize]);

/** The output head [V, H]; the embedding itself when they are tied. */
export const headWeight = (scope: Scope, config: Qwen2VLConfig): Value =>
  config.tieWordEmbeddings
    ? embeddingWeight(scope, config)
    : scope.weight('lm_head.weight', [config.text.vocabSize, config.text.hiddenSize]);

/** Token embeddings [T, H], image features standing in where imageIndex (i32 [T]) is not −1. */
export function embed(
  scope: Scope,
  config: Qwen2VLConfig,
  ids: Value,
  image?: { features: Value; index: Value },
): Value {
  const words = gatherRows(embeddingWeight(scope, config), ids);
  if (!image) return words;
  const zero = scope.graph.scalar(0, 'i32');
  const rows = gatherRows(image.features, maximum(image.index, zero));
  return select(reshape(less(image.index, zero), [ids.shape[0] as number, 1]), words, rows);
}

/**
 * The decoder stack with its last norm: x [T, H] → [T, H], or [M, H] for the rows asked for.
 * @param positions i32 [3, T]: temporal, height and width, each below `limit`; [1, T] where the three are equal, as of text
 * @param rows i32 [M]: the tokens whose hidden states are wanted; past its attention the last layer computes these alone
 */
export function decoder(
  scope: Scope,
  config: Qwen2VLConfig,
  x: Value,
  positions: Value,
  limit: number,
  attend: Attend,
  rows?: Value,
): Value {
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, rmsNormEps, ropeTheta, mropeSection } =
    config.text;
  const tokens = x.shape[0] as number;
  const norm = (h: Value, name: string) => rmsNorm(h, scope.weight(`${name}.weight`, [hiddenSize]), rmsNormEps);

  const inverse = inverseFrequencies(ropeTheta, headDim);
  let start = 0;
  const sections = positions.shape[0] === 1 ? [headDim / 2] : mropeSection;
  const axes = sections.map((size, axis) => {
    start += size;
    return {
      positions: reshape(sliceAxis(positions, 0, axis, axis + 1), [tokens]),
      inverse: inverse.subarray(start - size, start),
    };
  });
  const { cos, sin } = rotaryTables(scope.graph, axes, limit);

  for (let i = 0; i < layers; i++) {
    const layer = `model.layers.${i}`;
    scope.graph.checkpoint(x);
    const h = norm(x, `${layer}.input_layernorm`);
    const [q, k, v] = scope.linears(h, [
      { name: `${layer}.self_attn.q_proj`, out: heads * headDim, bias: true },
      { name: `${layer}.self_attn.k_proj`, out: kvHeads * headDim, bias: true },
      { name: `${layer}.self_attn.v_proj`, out: kvHeads * headDim, bias: true },
    ]);
    const turned = rope(reshape(q!, [tokens, heads, headDim]), cos, sin);
    const keys = rope(reshape(k!, [tokens, kvHeads, headDim]), cos, sin);
    const attended = attend(i, turned, keys, reshape(v!, [tokens, kvHeads, headDim]));
    let flat = reshape(attended, [tokens, heads * headDim]);
    if (rows && i === layers - 1) [x, flat] = [gatherRows(x, rows), gatherRows(flat, rows)];
    x = add(x, scope.linear(flat, { name: `${layer}.self_attn.o_proj`, out: hiddenSize, bias: false }));
    const [gate, up] = scope.linears(norm(x, `${layer}.post_attention_layernorm`), [
      { name: `${layer}.mlp.gate_proj`, out: intermediateSize, bias: false },
      { name: `${layer}.mlp.up_proj`, out: intermediateSize, bias: false },
    ]);
    x = add(x, scope.linear(swiglu(gate!, up!), { name: `${layer}.mlp.down_proj`, out: hiddenSize, bias: false }));
  }
  return norm(x, 'model.norm');
}

/** Attention of a packed batch: whole segments within blocks of `row` tokens. */
export function packedAttention(config: Qwen2VLConfig, segments: Value, row: number): Attend {
  return (_layer, q, k, v) => attention(q, k, v, segments, { row, causal: true, scale: config.text.headDim ** -0.5 });
}

export const cacheName = (layer: number, part: 'k' | 'v'): string => `cache.${layer}.${part}`;

/** A layer's cache states [B, kvHeads, L, d]. */
function cacheOf(scope: Scope, { text }: Qwen2VLConfig, layer: number, batch: number, length: number) {
  const shape = [batch, text.kvHeads, length, text.headDim];
  return {
    k: scope.graph.state(cacheName(layer, 'k'), shape, scope.compute),
    v: scope.graph.state(cacheName(layer, 'v'), shape, scope.compute),
  };
}

/**
 * Prefill: packed attention that also fills rows 0 … n−1 of the caches (length L) of B sequences.
 * @param places i32 [B·n]: the packed token of each cache row; rows past a prompt's end are never read
 */
export function fillingAttention(
  scope: Scope,
  config: Qwen2VLConfig,
  segments: Value,
  row: number,
  places: Value,
  { batch, length }: { batch: number; length: number },
): Attend {
  const packed = packedAttention(config, segments, row);
  const start = scope.graph.constant(new Int32Array(batch), [batch], 'i32');
  const filled = (places.shape[0] as number) / batch;
  return (layer, q, k, v) => {
    const cache = cacheOf(scope, config, layer, batch, length);
    const byHead = (x: Value) =>
      transpose(
        reshape(gatherRows(x, places), [batch, filled, config.text.kvHeads, config.text.headDim]),
        [0, 2, 1, 3],
      );
    scope.graph.assignRows(cache.k, start, byHead(k));
    scope.graph.assignRows(cache.v, start, byHead(v));
    return packed(layer, q, k, v);
  };
}

/** Decoding: one new token a sequence, whose cache holds lengths[b] rows (i32 [B]); its own row is appended. */
export function cachingAttention(scope: Scope, config: Qwen2VLConfig, lengths: Value, length: number): Attend {
  const batch = lengths.shape[0] as number;
  return (layer, q, k, v) => {
    const cache = cacheOf(scope, config, layer, batch, length);
    const one = (x: Value) => reshape(x, [batch, config.text.kvHeads, 1, config.text.headDim]);
    scope.graph.assignRows(cache.k, lengths, one(k));
    scope.graph.assignRows(cache.v, lengths, one(v));
    return cachedAttention([q, one(k), one(v), cache.k, cache.v, lengths], config.text.headDim ** -0.5);
  };
}
