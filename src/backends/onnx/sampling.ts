// The sampled choice and its uniform numbers in ONNX's operators: sums in double, bits in uint32.
import type { Value } from '../../graph/graph.ts';
import type { Emitter, Lowering } from './emitter.ts';

/** ONNX's codes of the element types that programs themselves do not have, and of float and int32. */
const TYPE = { float: 1, int32: 6, int64: 7, double: 11, uint32: 12 } as const;

/** So many of the largest scores mostly have what top-p wants; only where they have not is a whole row sorted. */
const HEAD = 64;

/** Nodes of one output, and literals. */
function builder(emit: Emitter) {
  const node = (opType: string, ...inputs: string[]): string => emit.node(opType, inputs, 1)[0]!;
  const cast = (x: string, to: keyof typeof TYPE): string => emit.node('Cast', [x], 1, { to: TYPE[to] })[0]!;
  const whole = (value: number, type: keyof typeof TYPE): string =>
    cast(emit.node('Constant', [], 1, { value_int: value })[0]!, type);
  const real = (value: number): string => emit.node('Constant', [], 1, { value_float: { float: value } })[0]!;
  return { node, cast, whole, real };
}

export const sampledChoice: Lowering = (emit, { inputs }, names, outputs) => {
  const [scores, largest, points, temperature, topK, topP] = names as [string, ...string[]];
  const vocabulary = (inputs[0] as Value).shape[1] as number;
  const { node, cast, whole, real } = builder(emit);
  const axis = emit.ints([1]);
  const column = (x: string) => node('Unsqueeze', x, axis);
  const sum = (x: string) => node('ReduceSum', x, axis);
  const [top, warmth] = [column(largest!), column(temperature!)];
  const masses = (x: string) => node('Exp', node('Div', node('Sub', x, top), warmth));
  const mass = masses(scores);
  /** The mass of tokens that reach `least` [B, 1], [B, V]. */
  const kept = (least: string | null): string =>
    cast(least === null ? mass : node('Where', node('GreaterOrEqual', scores, least), mass, real(0)), 'double');
  const least = topK === undefined ? null : leastKept(topK, topP!);
  const sums = node('CumSum', kept(least), axis);
  const total = node('Slice', sums, emit.ints([vocabulary - 1]), emit.ints([vocabulary]), axis);
  const below = node('LessOrEqual', sums, node('Mul', total, cast(column(points!), 'double')));
  const [count] = emit.node('ReduceSum', [cast(below, 'int32'), axis], 1, { keepdims: 0 });
  emit.node('Min', [count!, whole(vocabulary - 1, 'int32')], outputs);

  /** The least score that both filters keep, [B, 1]: TopK takes as many as the rows at hand want, for it takes its time. */
  function leastKept(topK: string, topP: string): string {
    const sorted = (count: string): string => emit.node('TopK', [scores, count], 2)[0]!;
    const at = (rows: string, index: string): string => emit.node('GatherElements', [rows, index], 1, { axis: 1 })[0]!;
    const most = (x: string): string => node('Reshape', node('ReduceMax', x), axis);
    // No TopK takes none: where topK keeps all, one is taken and not looked at.
    const asked = column(cast(topK, 'int64'));
    const counts = node('Max', node('Min', asked, emit.ints([vocabulary])), axis);
    const byCount = at(sorted(most(counts)), node('Sub', counts, axis));
    const floor = node('Where', node('Greater', asked, emit.ints([0])), byCount, real(Number.NEGATIVE_INFINITY));

    const share = column(topP);
    const filters = node('Less', share, real(1));
    const wanted = node(
      'Where',
      filters,
      node('Mul', sum(kept(floor)), cast(share, 'double')),
      cast(real(0), 'double'),
    );
    /** How many of a head of sorted scores have less than is wanted, with those above them. */
    const short = (head: string) =>
      sum(cast(node('Less', node('CumSum', cast(masses(head), 'double'), axis), wanted), 'int64'));
    let head = emit.ints([vocabulary]);
    if (vocabulary > HEAD) {
      const first = most(short(sorted(emit.ints([HEAD]))));
      head = node('Where', node('Less', first, emit.ints([HEAD])), node('Add', first, axis), head);
    }
    const rows = sorted(head);
    const byMass = at(rows, node('Min', short(rows), node('Sub', head, axis)));
    return node('Where', filters, node('Max', floor, byMass), floor);
  }
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
