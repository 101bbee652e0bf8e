// The programs of Qwen2-VL that the trainer and the generator trace: packed loss, prefill and one decoding step.
import type { Graph, Value } from '../../graph/graph.ts';
import { type ChoiceKind, chooseToken } from '../../nn/choice.ts';
import type { Scope } from '../../nn/scope.ts';
import { add } from '../../ops/add.ts';
import { cast } from '../../ops/cast.ts';
import { linearCrossEntropy } from '../../ops/linear_cross_entropy.ts';
import { matmul } from '../../ops/matmul.ts';
import { maximum } from '../../ops/maximum.ts';
import { reshape } from '../../ops/reshape.ts';
import { sub } from '../../ops/sub.ts';
import type { Qwen2VLConfig } from './config.ts';
import {
  type Attend,
  cachingAttention,
  decoder,
  embed,
  fillingAttention,
  headWeight,
  packedAttention,
} from './text.ts';
import { visionTower } from './vision.ts';

/** The static sizes of a packed batch. */
export interface Bucket {
  /** T: tokens in all, a multiple of `row` */
  readonly tokens: number;
  /** tokens a packing row; no sample crosses one */
  readonly row: number;
  /** tokens a sample has at most, where a row holds more */
  readonly longest?: number;
  /** P: patches in all, a multiple of `patchRow`; 0 for text alone */
  readonly patches: number;
  /** patches a vision row; no image crosses one */
  readonly patchRow: number;
  /** M: label tokens at most */
  readonly labels: number;
  /** rows of the state `image_features`, which then stand in for the tower; 0 runs the tower in the program */
  readonly features?: number;
  /** rows of logits made at once, which bounds the head's memory at vocabulary × this; 512 unless given */
  readonly logitRows?: number;
}

/** The state [1, 1, rows, H] of image features that were made before. */
export const FEATURES = 'image_features';
const featuresShape = ({ text }: Qwen2VLConfig, rows: number): number[] => [1, 1, rows, text.hiddenSize];

const LOGIT_ROWS = 512;

/** Hidden states of a packed batch: every token's [T, H], or those of `rows` alone. */
function hiddenStates(
  scope: Scope,
  config: Qwen2VLConfig,
  bucket: Bucket,
  attend: (segments: Value) => Attend,
  rows?: Value,
): Value {
  const { graph } = scope;
  const { tokens, row } = bucket;
  const ids = graph.input('ids', [tokens], 'i32');
  const positions = graph.input('positions', [3, tokens], 'i32');
  const segments = graph.input('segments', [tokens], 'i32');
  const features = featuresOf(scope, config, bucket);
  const image = features && { features, index: graph.input('image_index', [tokens], 'i32') };
  const x = embed(scope, config, ids, image);
  return decoder(scope, config, x, positions, row, attend(segments), rows);
}

function featuresOf(scope: Scope, config: Qwen2VLConfig, bucket: Bucket): Value | undefined {
  const { features, patches, patchRow } = bucket;
  if (features) {
    const state = scope.graph.state(FEATURES, featuresShape(config, features), scope.compute);
    return reshape(state, [features, config.text.hiddenSize]);
  }
  return patches > 0 ? imageFeatures(scope, config, patches, patchRow) : undefined;
}

/**
 * Runs the vision tower on P patches and writes their P / merge² features into the state `image_features` of `rows`
 * rows. Inputs: pixels of patches, their positions and segments, start i32 [1].
 */
export function fillFeatures(scope: Scope, config: Qwen2VLConfig, bucket: Bucket, rows: number): Graph {
  const { graph } = scope;
  const made = imageFeatures(scope, config, bucket.patches, bucket.patchRow);
  const state = graph.state(FEATURES, featuresShape(config, rows), scope.compute);
  graph.assignRows(state, graph.input('start', [1], 'i32'), reshape(made, [1, 1, ...made.shape]));
  return graph;
}

function imageFeatures(scope: Scope, config: Qwen2VLConfig, patches: number, patchRow: number): Value {
  const { graph } = scope;
  const { inChannels, patchSize } = config.vision;
  return visionTower(
    scope,
    config,
    {
      pixels: graph.input('pixels', [patches, inChannels * patchSize ** 2], 'u8'),
      rows: graph.input('patch_rows', [patches], 'i32'),
      columns: graph.input('patch_columns', [patches], 'i32'),
      segments: graph.input('patch_segments', [patches], 'i32'),
    },
    patchRow,
  );
}

/**
 * Σ weights · cross-entropy over the label rows of a packed batch, f32 [].
 * Inputs: ids, positions [3, T], segments, image_index, pixels of patches, their positions and segments, label_rows i32 [M]
 * (the hidden rows that predict), targets i32 [M], weights f32 [M] (0 for padding).
 */
export function packedLoss(scope: Scope, config: Qwen2VLConfig, bucket: Bucket, headTrained: boolean): Value {
  const { graph } = scope;
  const attend = (segments: Value) => packedAttention(config, segments, bucket.row);
  return linearCrossEntropy(
    hiddenStates(scope, config, bucket, attend, graph.input('label_rows', [bucket.labels], 'i32')),
    headWeight(scope, config),
    graph.input('targets', [bucket.labels], 'i32'),
    graph.input('weights', [bucket.labels], 'f32'),
    { chunk: Math.min(bucket.logitRows ?? LOGIT_ROWS, bucket.labels), weightGrad: headTrained },
  );
}

/** Every token's logits [T, V] of a packed batch, as output 'logits': for checks against a reference. */
export function packedLogits(scope: Scope, config: Qwen2VLConfig, bucket: Bucket): void {
  const attend = (segments: Value) => packedAttention(config, segments, bucket.row);
  const hidden = hiddenStates(scope, config, bucket, attend);
  scope.graph.output('logits', matmul(hidden, headWeight(scope, config), { transB: true }));
}

const logitsOf = (scope: Scope, config: Qwen2VLConfig, hidden: Value): Value =>
  cast(matmul(hidden, headWeight(scope, config), { transB: true }), 'f32');

/** Outputs of what generation reads: the chosen `token` i32 [B] and its `probability` f32 [B]. */
function choose(logits: Value, choice: ChoiceKind, latest: Value | null): Value {
  const { token, probability } = chooseToken(logits, choice, latest);
  logits.graph.output('token', token);
  logits.graph.output('probability', probability);
  return token;
}

/** The cache of a generating batch. */
export interface CacheSize {
  /** B: sequences */
  readonly batch: number;
  /** L: tokens that a sequence can hold */
  readonly length: number;
}

/** The state f32 [B, V] of what prefill leaves to choose by. */
export const LOGITS = 'first_logits';
export const logitsShape = ({ text }: Qwen2VLConfig, batch: number): number[] => [batch, text.vocabSize];

/**
 * Prefill of B prompts, packed as a training batch is, which fills the first `filled` rows of their caches and the state
 * `first_logits`. It comes in many sizes, so that what it is followed by is no part of it: see `chooseFirst`.
 * Besides the packed inputs: last i32 [B], the packed token that ends each prompt; places i32 [B·filled], the packed
 * token of every cache row.
 */
export function prefill(scope: Scope, config: Qwen2VLConfig, bucket: Bucket, cache: CacheSize, filled: number): Graph {
  const { graph } = scope;
  const places = graph.input('places', [cache.batch * filled], 'i32');
  const attend = (segments: Value) => fillingAttention(scope, config, segments, bucket.row, places, cache);
  const last = graph.input('last', [cache.batch], 'i32');
  const logits = logitsOf(scope, config, hiddenStates(scope, config, bucket, attend, last));
  graph.assign(graph.state(LOGITS, logitsShape(config, cache.batch), 'f32'), logits);
  return graph;
}

/** The first token of B sequences, from the state `first_logits`. */
export function chooseFirst(graph: Graph, config: Qwen2VLConfig, batch: number, choice: ChoiceKind): Graph {
  choose(graph.state(LOGITS, logitsShape(config, batch), 'f32'), choice, null);
  return graph;
}

/** The states, i32 [B], that decoding goes on from: next token, rows cached, and what added gives the position. */
export const DECODING = { ids: 'decoding.ids', lengths: 'decoding.lengths', ropeDelta: 'decoding.rope_delta' } as const;

/**
 * One decoding step of B sequences. It reads and renews the states of `DECODING`, so that one may follow another without
 * the host; a cache must have room for a row, but on CUDA one that is full stays as it is.
 */
export function decode(scope: Scope, config: Qwen2VLConfig, { batch, length }: CacheSize, choice: ChoiceKind): Graph {
  const { graph } = scope;
  const [ids, lengths, delta] = Object.values(DECODING).map((name) => graph.state(name, [batch], 'i32'));
  const positions = reshape(add(lengths!, delta!), [1, batch]);
  const attend = cachingAttention(scope, config, lengths!, length);
  const hidden = decoder(scope, config, embed(scope, config, ids!), positions, length, attend);
  const token = choose(logitsOf(scope, config, hidden), choice, ids!);
  const [one, zero, most] = [1, 0, length].map((n) => graph.scalar(n, 'i32'));
  graph.assign(ids!, token);
  // min(lengths + 1, L)
  const left = maximum(sub(most!, add(lengths!, one!)), zero!);
  graph.assign(lengths!, sub(most!, left));
  return graph;
}
