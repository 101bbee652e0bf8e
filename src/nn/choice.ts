// How a program chooses the next token of each row of logits [B, V]: the repetition penalty, temperature, top-k and top-p
// as transformers defines them. What a choice goes by beside the logits are states, so that one may follow another
// without the host; the numbers are among them, a row's own, so that one program does for all of them.
import type { Value } from '../graph/graph.ts';
import type { HostArray, TensorType } from '../graph/types.ts';
import { add } from '../ops/add.ts';
import { div } from '../ops/div.ts';
import { equal } from '../ops/equal.ts';
import { exp } from '../ops/exp.ts';
import { gatherRows } from '../ops/gather_rows.ts';
import { greedyChoice } from '../ops/greedy_choice.ts';
import { less } from '../ops/less.ts';
import { mul } from '../ops/mul.ts';
import { reshape } from '../ops/reshape.ts';
import { sampledChoice } from '../ops/sampled_choice.ts';
import { select } from '../ops/select.ts';
import { sub } from '../ops/sub.ts';
import { uniform } from '../ops/uniform.ts';

export interface SamplingOptions {
  /** 0 takes the likeliest */
  readonly temperature: number;
  /** 0 keeps all */
  readonly topK: number;
  /** 1 keeps all */
  readonly topP: number;
  /** 1 is none; logits of tokens already seen are divided by it when positive, multiplied when negative */
  readonly repetitionPenalty: number;
}

export const GREEDY: SamplingOptions = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1 };

/** What a program can choose by; what no row wants is left out, for it takes time. */
export interface ChoiceKind {
  readonly sampled: boolean;
  /** top-k and top-p */
  readonly filtered: boolean;
  readonly penalised: boolean;
}

export function kindOf(rows: readonly SamplingOptions[]): ChoiceKind {
  const sampled = rows.filter(({ temperature }) => temperature > 0);
  return {
    sampled: sampled.length > 0,
    filtered: sampled.some(({ topK, topP }) => topK > 0 || topP < 1),
    penalised: rows.some(({ repetitionPenalty }) => repetitionPenalty !== 1),
  };
}

/** The states of a choice, of which a program names those of its kind. */
export const CHOICE = {
  /** what is drawn by, i32 [B] */
  keys: 'choice.keys',
  /** how often was drawn, i32 [] */
  count: 'choice.count',
  /** f32 [B] */
  temperature: 'choice.temperature',
  /** i32 [B] */
  topK: 'choice.top_k',
  /** f32 [B] */
  topP: 'choice.top_p',
  /** f32 [B] */
  penalty: 'choice.penalty',
  /** which tokens a sequence has, bool [B, V] */
  seen: 'choice.seen',
} as const;

/** A sequence that tokens are chosen for. */
export interface ChoosingRow extends SamplingOptions {
  /** what it draws by */
  readonly key: number;
  /** tokens that it has */
  readonly seen: Iterable<number>;
}

/** Sets the states of a kind's choices, for B rows of which the last ones may be nobody's. */
export function beginChoices(
  backend: { setState(name: string, type: TensorType, data: HostArray): void },
  { sampled, filtered, penalised }: ChoiceKind,
  rows: readonly ChoosingRow[],
  batch: number,
  vocabulary: number,
): void {
  const all = Array.from({ length: batch }, (_, b) => rows[b] ?? { ...GREEDY, key: 0, seen: [] });
  const floats = (name: string, of: (row: ChoosingRow) => number) =>
    backend.setState(name, { dtype: 'f32', shape: [batch] }, Float32Array.from(all, of));
  const ints = (name: string, of: (row: ChoosingRow) => number) =>
    backend.setState(name, { dtype: 'i32', shape: [batch] }, Int32Array.from(all, of));
  if (sampled) {
    ints(CHOICE.keys, ({ key }) => key);
    backend.setState(CHOICE.count, { dtype: 'i32', shape: [] }, Int32Array.of(0));
    floats(CHOICE.temperature, ({ temperature }) => temperature);
  }
  if (filtered) {
    ints(CHOICE.topK, ({ topK }) => Math.min(topK, vocabulary));
    floats(CHOICE.topP, ({ topP }) => topP);
  }
  if (penalised) {
    floats(CHOICE.penalty, ({ repetitionPenalty }) => repetitionPenalty);
    const seen = new Uint8Array(batch * vocabulary);
    for (const [b, row] of all.entries()) for (const token of row.seen) seen[b * vocabulary + token] = 1;
    backend.setState(CHOICE.seen, { dtype: 'bool', shape: [batch, vocabulary] }, seen);
  }
}

/**
 * The token i32 [B] and the model's own probability of it f32 [B], before temperature, filters and penalty.
 * @param latest tokens i32 [B] that sequences have got since the states were set or the last choice was made
 */
export function chooseToken(
  logits: Value,
  { sampled, filtered, penalised }: ChoiceKind,
  latest: Value | null,
): { token: Value; probability: Value } {
  const likeliest = greedyChoice(logits);
  const scores = penalised ? penalisedScores(logits, latest) : logits;
  const best = greedyChoice(scores).token;
  const token = sampled ? drawnToken(scores, best, filtered) : best;
  if (token === likeliest.token) return likeliest;
  const distance = sub(at(logits, token), at(logits, likeliest.token));
  return { token, probability: mul(likeliest.probability, exp(distance)) };
}

/** A token drawn, but the best of a row whose temperature is 0. */
function drawnToken(scores: Value, best: Value, filtered: boolean): Value {
  const { graph, shape } = best;
  const temperature = graph.state(CHOICE.temperature, shape, 'f32');
  const filters = filtered && {
    topK: graph.state(CHOICE.topK, shape, 'i32'),
    topP: graph.state(CHOICE.topP, shape, 'f32'),
  };
  const drawn = sampledChoice(scores, at(scores, best), points(best), temperature, filters || undefined);
  return select(less(graph.scalar(0), temperature), drawn, best);
}

/** One value of each row of [B, V], by tokens i32 [B]. */
function at(rows: Value, tokens: Value): Value {
  const [batch, vocabulary] = rows.shape as [number, number];
  const starts = Int32Array.from({ length: batch }, (_, b) => b * vocabulary);
  return gatherRows(reshape(rows, [batch * vocabulary]), add(tokens, rows.graph.constant(starts, [batch], 'i32')));
}

/** A number of [0, 1) for each of the tokens' sequences, and another at the next step. */
function points({ graph, shape }: Value): Value {
  const count = graph.state(CHOICE.count, [], 'i32');
  graph.assign(count, add(count, graph.scalar(1, 'i32')));
  return uniform(graph.state(CHOICE.keys, shape, 'i32'), count);
}

function penalisedScores(logits: Value, latest: Value | null): Value {
  const { graph, shape } = logits;
  const [batch, vocabulary] = shape as [number, number];
  let seen = graph.state(CHOICE.seen, shape, 'bool');
  if (latest) {
    const tokens = graph.constant(
      Int32Array.from({ length: vocabulary }, (_, i) => i),
      [1, vocabulary],
      'i32',
    );
    const isLatest = equal(tokens, reshape(latest, [batch, 1]));
    const before = seen;
    seen = select(isLatest, graph.constant(Uint8Array.of(1), [], 'bool'), before);
    graph.assign(before, seen);
  }
  const factor = reshape(graph.state(CHOICE.penalty, [batch], 'f32'), [batch, 1]);
  return select(seen, select(less(logits, graph.scalar(0)), mul(logits, factor), div(logits, factor)), logits);
}
