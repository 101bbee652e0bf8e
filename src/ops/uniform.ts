// Uniform numbers in [0, 1), counter-based: for keys i32 [B] and a tick i32 [] the upper 24 of the bits that
// `Random` of the key draws at the tick (src/shared/random.ts), which float32 holds exactly; so every backend draws alike.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sizeOf } from '../graph/types.ts';
import { arity, expectInts, ints } from './checks.ts';

export const uniformOp: OpDef = {
  name: 'uniform',
  infer(inputs) {
    arity(inputs, 2);
    const [keys, tick] = inputs;
    expectInts(keys!, [keys!.shape[0] ?? 0], 'keys');
    expectInts(tick!, [], 'tick');
    return [{ dtype: 'f32', shape: keys!.shape }];
  },
  flops: ([keys]) => 20 * sizeOf(keys!.shape),
  samples: [
    { inputs: [ints([5], [0, 1, -1, 0x7fffffff, -0x80000000]), ints([], [0])], attrs: {} },
    { inputs: [ints([1], [7]), ints([], [0x7fffffff])], attrs: {} },
    { inputs: [ints([0], []), ints([], [3])], attrs: {} },
  ],
};

export const uniform = (keys: Value, tick: Value): Value => call(uniformOp, [keys, tick], {});
