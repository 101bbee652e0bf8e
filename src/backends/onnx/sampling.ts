// The sampled choice and its uniform numbers in ONNX's operators: sums in double, bits in uint32.
import type { Value } from '../../graph/graph.ts';
import type { SampledChoiceAttrs } from '../../ops/sampled_choice.ts';
import type { Emitter, Lowering } from './emitter.ts';

/** ONNX's codes of the element types that programs themselves do not have, and of float and int32. */
const TYPE = { float: 1, int32: 6, int64: 7, double: 11, uint32: 12 } as const;

/** Nodes of one output, and literals. */
function builder(emit: Emitter) {
  const node = (opType: string, ...inputs: string[]): string => emit.node(opType, inputs, 1)[0]!;
  const cast = (x: string, to: keyof typeof TYPE): string => emit.node('Cast', [x], 1, { to: TYPE[to] })[0]!;
  const whole = (value: number, type: keyof typeof TYPE): string =>
    cast(emit.node('Constant', [], 1, { value_int: value })[0]!, type);
  const real = (value: number): string => emit.node('Constant', [], 1, { value_float: { float: value } })[0]!;
  return { node, cast, whole, real };
}

export const sampledChoice: Lowering = (emit, { attrs, inputs }, [scores, largest, points], outputs) => {
  const { temperature, topK, topP } = attrs as SampledChoiceAttrs;
  const vocabulary = (inputs[0] as Value).shape[1] as number;
  const { node, cast, whole, real } = builder(emit);
  const axis = emit.ints([1]);
  const column = (x: string) => node('Unsqueeze', x, axis);
  const sum = (x: string) => node('ReduceSum', x, axis);
  const masses = (x: string) => node('Exp', node('Div', node('Sub', x, column(largest!)), real(temperature)));
  const mass = masses(scores!);
  /** The mass of tokens that reach `least`, [B, V]. */
  const kept = (least: string | null): string =>
    cast(least === null ? mass : node('Where', node('GreaterOrEqual', scores!, least), mass, real(0)), 'double');

  const head = topK > 0 && topK < vocabulary ? topK : vocabulary;
  let least: string | null = null;
  if (head < vocabulary || topP < 1) {
    const [sorted] = emit.node('TopK', [scores!, emit.ints([head])], 2);
    if (head < vocabulary) least = node('Slice', sorted!, emit.ints([head - 1]), emit.ints([head]), axis);
    if (topP < 1) {
      const wanted = node('Mul', sum(kept(least)), cast(real(topP), 'double'));
      const short = node('Less', node('CumSum', cast(masses(sorted!), 'double'), axis), wanted);
      // Where tokens equal to the last of the head lie beyond it, all of the head may fall short.
      const index = node('Min', sum(cast(short, 'int64')), whole(head - 1, 'int64'));
      [least] = emit.node('GatherElements', [sorted!, index], 1, { axis: 1 }) as [string];
    }
  }
  const sums = node('CumSum', kept(least), axis);
  const total = node('Slice', sums, emit.ints([vocabulary - 1]), emit.ints([vocabulary]), axis);
  const below = node('LessOrEqual', sums, node('Mul', total, cast(column(points!), 'double')));
  const [count] = emit.node('ReduceSum', [cast(below, 'int32'), axis], 1, { keepdims: 0 });
  emit.node('Min', [count!, whole(vocabulary - 1, 'int32')], outputs);
};

export const uniform: Lowering = (emit, _node, [keys, tick], outputs) => {
  const { node, cast, whole, real } = builder(emit);
  const shifted = (x: string, by: number): string =>
    emit.node('BitShift', [x, whole(by, 'uint32')], 1, { direction: 'RIGHT' })[0]!;
  const folded = (x: string, by: number) => node('BitwiseXor', x, shifted(x, by));
  /** ONNX Runtime multiplies no uint32; the low 32 bits of a product are the same for int32. */
  const times = (x: string, factor: number) =>
    cast(node('Mul', cast(x, 'int32'), whole(factor | 0, 'int32')), 'uint32');
  /** mix32 of src/shared/random.ts */
  const mixed = (x: string) => folded(times(folded(times(folded(x, 16), 0x7feb352d), 15), 0x846ca68b), 16);
  const counter = cast(node('Add', tick!, whole(0x85ebca6b | 0, 'int32')), 'uint32');
  const bits = mixed(node('BitwiseXor', cast(keys!, 'uint32'), mixed(counter)));
  emit.node('Mul', [cast(shifted(bits, 8), 'float'), real(2 ** -24)], outputs);
};
