// The greedy choice within a program, so that of a large vocabulary's logits only a token and its probability come back.
import type { Value } from '../graph/graph.ts';
import { cast } from '../ops/cast.ts';
import { div } from '../ops/div.ts';
import { equal } from '../ops/equal.ts';
import { exp } from '../ops/exp.ts';
import { mul } from '../ops/mul.ts';
import { reduceMax } from '../ops/reduce_max.ts';
import { reduceSum } from '../ops/reduce_sum.ts';
import { sub } from '../ops/sub.ts';

/** Of each row of logits [B, V] the first largest, as token i32 [B], and its probability f32 [B]. */
export function greedyChoice(logits: Value): { token: Value; probability: Value } {
  const { graph } = logits;
  const vocabulary = logits.shape[1] as number;
  const x = cast(logits, 'f32');
  const max = reduceMax(x, [1], true);
  const probability = div(graph.scalar(1), reduceSum(exp(sub(x, max)), [1]));
  // The maximum that lies farthest from the end is the first. Whole numbers are exact in float32 below 2²⁴.
  const last = vocabulary - 1;
  const fromEnd = graph.constant(
    Float32Array.from({ length: vocabulary }, (_, i) => last - i),
    [1, vocabulary],
    'f32',
  );
  const farthest = reduceMax(mul(cast(equal(x, max), 'f32'), fromEnd), [1]);
  return { token: cast(sub(graph.scalar(last), farthest), 'i32'), probability };
}
