// A sampled choice within a program: of scores f32 [B, V] the tokens that top-k and top-p leave, as transformers defines
// them, and of these the token i32 [B] where the running sum of probabilities, in the order of tokens, passes a point
// f32 [B] of [0, 1). `largest` f32 [B] is the largest score of each row, which whoever calls it has already.
//
// A token's mass is exp((score − largest) / temperature). Both filters are a least score, so that of equal scores all are
// kept or none: top-k's is the largest that k tokens reach or pass; top-p's the largest whose tokens, with those above,
// have topP of the mass that top-k leaves.
import { call, type OpDef, type Sample, type Value } from '../graph/graph.ts';
import { sizeOf, typeName } from '../graph/types.ts';
import { arity, dims, expect, expectShape, floats, wide } from './checks.ts';

export type SampledChoiceAttrs = {
  /** above 0 */
  readonly temperature: number;
  /** 0 keeps all */
  readonly topK: number;
  /** 1 keeps all */
  readonly topP: number;
};

function sample(
  scores: readonly number[],
  points: readonly number[],
  attrs: SampledChoiceAttrs,
): Sample<SampledChoiceAttrs> {
  const [batch, vocabulary] = [points.length, scores.length / points.length];
  const rows = points.map((_, b) => scores.slice(b * vocabulary, (b + 1) * vocabulary));
  const largest = rows.map((row) => row.reduce((a, b) => Math.max(a, b)));
  const inputs = [floats([batch, vocabulary], [...scores]), floats([batch], largest), floats([batch], [...points])];
  return { inputs: inputs.map(wide), attrs };
}
const wave = (count: number, height: number): number[] =>
  Array.from({ length: count }, (_, i) => height * Math.sin(i * i));

export const sampledChoiceOp: OpDef<SampledChoiceAttrs> = {
  name: 'sampled_choice',
  infer(inputs, { temperature, topK, topP }) {
    arity(inputs, 3);
    const [scores, largest, points] = inputs;
    const [batch, vocabulary] = dims(scores!, 2, 'scores') as [number, number];
    for (const input of inputs) expect(input.dtype === 'f32', `float32 inputs, got ${typeName(input)}`);
    expect(vocabulary > 0, `scores of some tokens, got ${typeName(scores!)}`);
    expectShape(largest!, [batch], 'largest scores');
    expectShape(points!, [batch], 'points');
    expect(temperature > 0, `a temperature above 0, got ${temperature}`);
    expect(Number.isInteger(topK) && topK >= 0, `a whole topK of 0 or more, got ${topK}`);
    expect(topP >= 0 && topP <= 1, `a topP of 0 to 1, got ${topP}`);
    return [{ dtype: 'i32', shape: [batch] }];
  },
  flops: ([scores]) => 4 * sizeOf(scores!.shape),
  samples: [
    sample(wave(21, 3), [0, 0.35, 0.999], { temperature: 1, topK: 0, topP: 1 }),
    sample(wave(21, 3), [0.1, 0.5, 0.9], { temperature: 0.7, topK: 3, topP: 1 }),
    sample(wave(21, 3), [0.1, 0.5, 0.9], { temperature: 1.5, topK: 0, topP: 0.8 }),
    // Several chunks a row, and both filters.
    sample(wave(2 * 9001, 20), [0.3, 0.8], { temperature: 2, topK: 40, topP: 0.9 }),
    sample(wave(2 * 9001, 20), [0.03, 0.97], { temperature: 1, topK: 0, topP: 0.95 }),
    // Equal scores at the edge of both filters are kept together: here the last three of four, and all but the first.
    sample([1, 4, 4, 4, 1, 4, 4, 4], [0.5, 0.9], { temperature: 1, topK: 2, topP: 0.4 }),
    // Impossible tokens are never taken, zeros of either sign are alike, and topP 0 keeps the largest.
    sample([-Infinity, 2, -Infinity, 1, -0, -300, 0, -400], [0.9, 0.7], { temperature: 1, topK: 2, topP: 1 }),
    sample([3, 5, 4], [0.99], { temperature: 1, topK: 0, topP: 0 }),
    sample([-3, 4], [0.2, 0.8], { temperature: 0.01, topK: 5, topP: 0.5 }),
  ],
};

/** The token of each row. */
export const sampledChoice = (scores: Value, largest: Value, points: Value, attrs: SampledChoiceAttrs): Value =>
  call(sampledChoiceOp, [scores, largest, points], attrs);
