// The greedy choice within a program, so that of a large vocabulary's logits only a token and its probability come back:
// logits f32 [B, V] → the first of each row's largest as token i32 [B], and its probability f32 [B].
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf, type TensorType, typeName } from '../graph/types.ts';
import { cast } from './cast.ts';
import { arity, dims, expect, floats, normal, wide } from './checks.ts';
import { div } from './div.ts';
import { equal } from './equal.ts';
import { exp } from './exp.ts';
import { mul } from './mul.ts';
import { reduceMax } from './reduce_max.ts';
import { reduceSum } from './reduce_sum.ts';
import { sub } from './sub.ts';

export const greedyChoiceOp: OpDef = {
  name: 'greedy_choice',
  infer(inputs) {
    arity(inputs, 1);
    const [logits] = inputs as [TensorType];
    const [batch, vocabulary] = dims(logits, 2, 'logits') as [number, number];
    expect(logits.dtype === 'f32' && vocabulary > 0, `float32 logits of some tokens, got ${typeName(logits)}`);
    return [
      { dtype: 'i32', shape: [batch] },
      { dtype: 'f32', shape: [batch] },
    ];
  },
  decompose([x]) {
    const { graph } = x!;
    const vocabulary = x!.shape[1] as number;
    const max = reduceMax(x!, [1], true);
    const probability = div(graph.scalar(1), reduceSum(exp(sub(x!, max)), [1]));
    // The maximum that lies farthest from the end is the first. Whole numbers are exact in float32 below 2²⁴.
    const last = vocabulary - 1;
    const fromEnd = graph.constant(
      Float32Array.from({ length: vocabulary }, (_, i) => last - i),
      [1, vocabulary],
      'f32',
    );
    const farthest = reduceMax(mul(cast(equal(x!, max), 'f32'), fromEnd), [1]);
    return [cast(sub(graph.scalar(last), farthest), 'i32'), probability];
  },
  flops: ([x]) => 4 * sizeOf(x!.shape),
  samples: [
    { inputs: [wide(normal(3, 7))], attrs: {} },
    { inputs: [wide(normal(2, 9001))], attrs: {} },
    { inputs: [wide(floats([3, 4], [2, 5, 5, 1, -300, -300, -300, -300, 80, 0, 0, 81]))], attrs: {} },
    { inputs: [wide(floats([2, 1], [-3, 4]))], attrs: {} },
  ],
};

export function greedyChoice(logits: Value): { token: Value; probability: Value } {
  const [token, probability] = logits.graph.apply(greedyChoiceOp, [logits], {}) as [Value, Value];
  return { token, probability };
}
