// A sampled choice within a program: of scores f32 [B, V] the tokens that top-k and top-p leave, as transformers defines
// them, and of these the token i32 [B] where the running sum of probabilities, in the order of tokens, passes a point
// f32 [B] of [0, 1). `largest` f32 [B] is the largest score of each row, which whoever calls it has already.
// Each row has a temperature f32 [B] of its own, and unless both are left out its topK i32 [B] (0 keeps all) and topP
// f32 [B] (1 keeps all). A row whose temperature is 0 gets a token that says nothing.
//
// A token's mass is exp((score − largest) / temperature). Both filters are a least score, so that of equal scores all are
// kept or none: top-k's is the largest that k tokens reach or pass; top-p's the largest whose tokens, with those above,
// have topP of the mass that top-k leaves.
import { call, type OpDef, type Sample, type Value } from '../graph/graph.ts';
import { sizeOf, typeName } from '../graph/types.ts';
import { dims, expect, expectInts, expectShape, floats, ints, wide } from './checks.ts';

/** The numbers of each row, [B]. */
export interface Filters {
  readonly topK: Value;
  readonly topP: Value;
}

interface RowSettings {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
}

/** A row of scores for each point; settings are given by row, or once for all. */
function sample(scores: readonly number[], points: readonly number[], ...settings: readonly RowSettings[]): Sample {
  const [batch, vocabulary] = [points.length, scores.length / points.length];
  const rows = points.map((_, b) => scores.slice(b * vocabulary, (b + 1) * vocabulary));
  const largest = rows.map((row) => row.reduce((a, b) => Math.max(a, b)));
  const of = points.map((_, b) => settings[b % settings.length]!);
  const temperatures = of.map(({ temperature }) => temperature);
  const inputs = [
    floats([batch, vocabulary], [...scores]),
    ...[largest, [...points], temperatures].map((data) => floats([batch], data)),
  ];
  if (of.some(({ topK, topP }) => topK !== undefined || topP !== undefined)) {
    inputs.push(
      ints(
        [batch],
        of.map(({ topK = 0 }) => topK),
      ),
      floats(
        [batch],
        of.map(({ topP = 1 }) => topP),
      ),
    );
  }
  return { inputs: inputs.map(wide), attrs: {} };
}
const wave = (count: number, height: number): number[] =>
  Array.from({ length: count }, (_, i) => height * Math.sin(i * i));

export const sampledChoiceOp: OpDef = {
  name: 'sampled_choice',
  infer(inputs) {
    expect(inputs.length === 4 || inputs.length === 6, `4 inputs, or 6 with filters, got ${inputs.length}`);
    const [scores, largest, points, temperature, topK, topP] = inputs;
    const [batch, vocabulary] = dims(scores!, 2, 'scores') as [number, number];
    expect(scores!.dtype === 'f32' && vocabulary > 0, `float32 scores of some tokens, got ${typeName(scores!)}`);
    const numbers = { 'largest scores': largest, points, temperatures: temperature, ...(topP && { topP: topP }) };
    for (const [what, input] of Object.entries(numbers)) {
      expect(input!.dtype === 'f32', `float32 ${what}, got ${typeName(input!)}`);
      expectShape(input!, [batch], what);
    }
    if (topK) expectInts(topK, [batch], 'topK');
    return [{ dtype: 'i32', shape: [batch] }];
  },
  flops: ([scores]) => 4 * sizeOf(scores!.shape),
  samples: [
    sample(wave(21, 3), [0, 0.35, 0.999], { temperature: 1 }),
    sample(wave(21, 3), [0.1, 0.5, 0.9], { temperature: 0.7, topK: 3 }),
    sample(wave(21, 3), [0.1, 0.5, 0.9], { temperature: 1.5, topP: 0.8 }),
    // Several chunks a row, and both filters.
    sample(wave(2 * 9001, 20), [0.3, 0.8], { temperature: 2, topK: 40, topP: 0.9 }),
    sample(wave(2 * 9001, 20), [0.03, 0.97], { temperature: 1, topP: 0.95 }),
    // Equal scores at the edge of both filters are kept together: here the last three of four, and all but the first.
    sample([1, 4, 4, 4, 1, 4, 4, 4], [0.5, 0.9], { temperature: 1, topK: 2, topP: 0.4 }),
    // Impossible tokens are never taken, zeros of either sign are alike, and topP 0 keeps the largest.
    sample([-Infinity, 2, -Infinity, 1, -0, -300, 0, -400], [0.9, 0.7], { temperature: 1, topK: 2 }),
    sample([3, 5, 4], [0.99], { temperature: 1, topP: 0 }),
    sample([-3, 4], [0.2, 0.8], { temperature: 0.01, topK: 5, topP: 0.5 }),
    // Rows of unlike settings, with few tokens and with several chunks of them.
    sample(
      wave(28, 2),
      [0.9, 0.6, 0.8, 0.95],
      { temperature: 1 },
      { temperature: 0.5, topK: 2 },
      { temperature: 3, topP: 0.6 },
      { temperature: 2, topK: 4, topP: 0.7 },
    ),
    sample(
      wave(4 * 9001, 9),
      [0.9, 0.6, 0.8, 0.95],
      { temperature: 2, topK: 300, topP: 0.99 },
      { temperature: 3, topP: 0.9 },
      { temperature: 0.5, topK: 2 },
      { temperature: 1 },
    ),
  ],
};

/** The token of each row. */
export const sampledChoice = (
  scores: Value,
  largest: Value,
  points: Value,
  temperature: Value,
  filters?: Filters,
): Value =>
  call(sampledChoiceOp, [scores, largest, points, temperature, ...(filters ? [filters.topK, filters.topP] : [])], {});
