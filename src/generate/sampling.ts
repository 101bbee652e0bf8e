// Picks the next token from logits: repetition penalty, temperature, top-k and top-p as transformers defines them.
import type { Random } from '../shared/random.ts';

export interface SamplingOptions {
  /** 0 is greedy */
  readonly temperature: number;
  /** 0 keeps all */
  readonly topK: number;
  /** 1 keeps all */
  readonly topP: number;
  /** 1 is none; logits of tokens already seen are divided by it when positive, multiplied when negative */
  readonly repetitionPenalty: number;
}

export const GREEDY: SamplingOptions = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1 };

/** Whether the likeliest token is always taken, which a program can do by itself. */
export const isGreedy = ({ temperature, repetitionPenalty }: SamplingOptions): boolean =>
  temperature === 0 && repetitionPenalty === 1;

export interface ChosenToken {
  readonly token: number;
  /** the model's own probability of the token, before temperature and filters */
  readonly probability: number;
}

/** Chooses from logits [V], which the repetition penalty changes in place. */
export function chooseToken(
  logits: Float32Array,
  seen: Iterable<number>,
  options: SamplingOptions,
  random: Random,
): ChosenToken {
  const max = maximum(logits);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - max);
  const probabilityOf = (logit: number) => Math.exp(logit - max) / total;

  let penalised = logits;
  if (options.repetitionPenalty !== 1) {
    penalised = logits.slice();
    for (const token of new Set(seen)) {
      const logit = penalised[token] as number;
      penalised[token] = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty;
    }
  }
  const token = options.temperature > 0 ? sample(penalised, options, random) : argmax(penalised);
  return { token, probability: probabilityOf(logits[token] as number) };
}

function maximum(values: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const value of values) if (value > max) max = value;
  return max;
}

/** The first index of the largest value. */
function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

function sample(logits: Float32Array, { temperature, topK, topP }: SamplingOptions, random: Random): number {
  const order = Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number));
  if (topK > 0) order.length = Math.min(order.length, topK);
  const top = logits[order[0] as number] as number;
  const mass = order.map((token) => Math.exp(((logits[token] as number) - top) / temperature));
  const total = mass.reduce((sum, m) => sum + m, 0);
  // Keep the smallest head whose probability reaches topP; the token that reaches it stays.
  let kept = 0;
  let count = 0;
  while (count < mass.length && (count === 0 || kept < topP * total)) kept += mass[count++] as number;
  let point = random.float() * kept;
  for (let i = 0; i < count; i++) {
    point -= mass[i] as number;
    if (point < 0) return order[i] as number;
  }
  return order[count - 1] as number;
}
