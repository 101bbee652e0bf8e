// How a program chooses the next token of each row of logits [B, V]: the repetition penalty, temperature, top-k and top-p
// as transformers defines them. What a choice goes by beside the logits are states, so that one may follow another
// without the host.
import type { Value } from '../graph/graph.ts';
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

/** The states of choices that are sampled: a key i32 [B] a sequence, and how often was drawn, i32 []. */
export const DRAWING = { keys: 'drawing.keys', count: 'drawing.count' } as const;
/** The state bool [B, V] of choices with a repetition penalty: which tokens a sequence has. */
export const SEEN = 'seen_tokens';

/**
 * The token i32 [B] and the model's own probability of it f32 [B], before temperature, filters and penalty.
 * @param latest tokens i32 [B] that sequences have got since the states were set or the last choice was made
 */
export function chooseToken(
  logits: Value,
  { repetitionPenalty, ...filters }: SamplingOptions,
  latest: Value | null,
): { token: Value; probability: Value } {
  const likeliest = greedyChoice(logits);
  const scores = repetitionPenalty === 1 ? logits : penalised(logits, repetitionPenalty, latest);
  const best = greedyChoice(scores).token;
  const token = filters.temperature > 0 ? sampledChoice(scores, at(scores, best), drawn(best), filters) : best;
  if (token === likeliest.token) return likeliest;
  const distance = sub(at(logits, token), at(logits, likeliest.token));
  return { token, probability: mul(likeliest.probability, exp(distance)) };
}

/** One value of each row of [B, V], by tokens i32 [B]. */
function at(rows: Value, tokens: Value): Value {
  const [batch, vocabulary] = rows.shape as [number, number];
  const starts = Int32Array.from({ length: batch }, (_, b) => b * vocabulary);
  return gatherRows(reshape(rows, [batch * vocabulary]), add(tokens, rows.graph.constant(starts, [batch], 'i32')));
}

/** A number of [0, 1) for each of the tokens' sequences, and another at the next step. */
function drawn({ graph, shape }: Value): Value {
  const count = graph.state(DRAWING.count, [], 'i32');
  graph.assign(count, add(count, graph.scalar(1, 'i32')));
  return uniform(graph.state(DRAWING.keys, shape, 'i32'), count);
}

function penalised(logits: Value, penalty: number, latest: Value | null): Value {
  const { graph, shape } = logits;
  const [batch, vocabulary] = shape as [number, number];
  let seen = graph.state(SEEN, shape, 'bool');
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
  const factor = graph.scalar(penalty);
  return select(seen, select(less(logits, graph.scalar(0)), mul(logits, factor), div(logits, factor)), logits);
}
