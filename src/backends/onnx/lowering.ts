// One ONNX lowering an op, in a table that must name every op. 'decompose' builds the op from others when tracing.
import type { Attrs, Node, Value } from '../../graph/graph.ts';
import type { DType } from '../../graph/types.ts';
import type { OpName } from '../../ops/index.ts';
import { type AttributeValues, type Lowering, ONNX_TYPE } from './emitter.ts';
import { attribute, type OnnxAttribute } from './proto.ts';
import { sampledChoice, uniform } from './sampling.ts';

const MS = 'com.microsoft';

const plain =
  (opType: string, attributes: AttributeValues = {}, domain = ''): Lowering =>
  (emit, _node, inputs, outputs) => {
    emit.node(opType, inputs, outputs, attributes, domain);
  };

const attrs = <A extends Attrs>(node: Node): A => node.attrs as A;
const input = (node: Node, i: number): Value => node.inputs[i] as Value;

const reduce =
  (opType: string): Lowering =>
  (emit, node, [x], outputs) => {
    const { axes, keep } = attrs<{ axes: number[]; keep: boolean }>(node);
    if (axes.length === 0) emit.node('Identity', [x!], outputs);
    else emit.node(opType, [x!, emit.ints(axes)], outputs, { keepdims: keep ? 1 : 0 });
  };

/** A 2-D product, which may take a third operand to add. */
export const gemm: Lowering = (emit, node, inputs, outputs) => {
  const { transA, transB } = attrs<{ transA: boolean; transB: boolean }>(node);
  emit.node('Gemm', inputs, outputs, { transA: transA ? 1 : 0, transB: transB ? 1 : 0 });
};

export const lowerings: Record<OpName, Lowering | 'decompose'> = {
  adamw: 'decompose',
  add: plain('Add'),
  attention: 'decompose',
  attention_grad: 'decompose',
  broadcast_to: (emit, node, [x], outputs) => {
    emit.node('Expand', [x!, emit.ints(attrs<{ shape: number[] }>(node).shape)], outputs);
  },
  // The kernel walks only the rows that each sequence has. It joins old and new ones in buffers of its own (outputs 1
  // and 2), and takes heads whose width is a multiple of 8: zeros added to a row change neither scores nor sums.
  cached_attention: (emit, node, [q, kNew, vNew, kCache, vCache, lengths], outputs) => {
    const [batch, heads, width] = input(node, 0).shape as [number, number, number];
    const [, kvHeads, length] = input(node, 3).shape as [number, number, number];
    const missing = -width & 7;
    const padded = (x: string, rank: number) =>
      missing ? emit.node('Pad', [x, emit.ints([...new Array(2 * rank - 1).fill(0), missing])], 1)[0]! : x;
    const flat = (x: string, rank: number, count: number) =>
      emit.node('Reshape', [padded(x, rank), emit.ints([batch, 1, count * (width + missing)])], 1)[0]!;
    const [total] = emit.node('Cast', [emit.ints([length + 1])], 1, { to: ONNX_TYPE.i32 });
    const rows = [flat(q!, 3, heads), flat(kNew!, 4, kvHeads), flat(vNew!, 4, kvHeads)];
    const caches = [padded(kCache!, 4), padded(vCache!, 4)];
    const [out] = emit.node(
      'GroupQueryAttention',
      [...rows, ...caches, lengths!, total!],
      3,
      { num_heads: heads, kv_num_heads: kvHeads, scale: { float: attrs<{ scale: number }>(node).scale } },
      MS,
    );
    const [byHead] = emit.node('Reshape', [out!, emit.ints([batch, heads, width + missing])], missing ? 1 : outputs);
    if (missing) emit.node('Slice', [byHead!, emit.ints([0]), emit.ints([width]), emit.ints([2])], outputs);
  },
  cast: (emit, node, inputs, outputs) => {
    emit.node('Cast', inputs, outputs, { to: ONNX_TYPE[attrs<{ to: DType }>(node).to] });
  },
  concat: (emit, node, inputs, outputs) => {
    emit.node('Concat', inputs, outputs, { axis: attrs<{ axis: number }>(node).axis });
  },
  div: plain('Div'),
  // program.ts makes it an input that the host fills (mask.ts): 1.1 ms for 2048 × 256 elements, against 3.4 ms for the
  // same hash in ONNX's uint32 operators, on one thread or two.
  dropout_mask: () => {},
  equal: plain('Equal'),
  erf: plain('Erf'),
  exp: plain('Exp'),
  gather_rows: plain('Gather', { axis: 0 }),
  gelu: (emit, node, inputs, outputs) => {
    if (attrs<{ kind: string }>(node).kind === 'erf') emit.node('Gelu', inputs, outputs, {});
    else emit.node('QuickGelu', inputs, outputs, { alpha: { float: 1.702 } }, MS);
  },
  gelu_grad: 'decompose',
  greedy_choice: 'decompose',
  is_finite: (emit, _node, [x], outputs) => {
    const [infinite] = emit.node('IsInf', [x!], 1);
    const [nan] = emit.node('IsNaN', [x!], 1);
    const [either] = emit.node('Or', [infinite!, nan!], 1);
    emit.node('Not', [either!], outputs);
  },
  layer_norm: (emit, node, inputs, outputs) => {
    emit.node('LayerNormalization', inputs, outputs, { axis: 1, epsilon: { float: attrs<{ eps: number }>(node).eps } });
  },
  layer_norm_grad: 'decompose',
  less: plain('Less'),
  linear_cross_entropy: 'decompose',
  log: plain('Log'),
  matmul: (emit, node, inputs, outputs) => {
    const { transA, transB } = attrs<{ transA: boolean; transB: boolean }>(node);
    if (!transA && !transB) emit.node('MatMul', inputs, outputs);
    else if (input(node, 0).shape.length === 2) gemm(emit, node, inputs, outputs);
    else emit.node('FusedMatMul', inputs, outputs, { transA: transA ? 1 : 0, transB: transB ? 1 : 0 }, MS);
  },
  maximum: plain('Max'),
  mul: plain('Mul'),
  neg: plain('Neg'),
  pad: (emit, node, [x], outputs) => {
    const { before, after } = attrs<{ before: number[]; after: number[] }>(node);
    emit.node('Pad', [x!, emit.ints([...before, ...after])], outputs);
  },
  reduce_max: reduce('ReduceMax'),
  reduce_sum: reduce('ReduceSum'),
  reshape: (emit, node, [x], outputs) => {
    emit.node('Reshape', [x!, emit.ints(attrs<{ shape: number[] }>(node).shape)], outputs, { allowzero: 1 });
  },
  rms_norm: (emit, node, inputs, outputs) => {
    emit.node('SimplifiedLayerNormalization', inputs, outputs, {
      axis: 1,
      epsilon: { float: attrs<{ eps: number }>(node).eps },
    });
  },
  rms_norm_grad: 'decompose',
  // The heads side by side are what RotaryEmbedding calls hidden; the tables hold each token's own angles in order.
  rope: (emit, node, [x, cos, sin], outputs) => {
    const [tokens, heads, width] = input(node, 0).shape as [number, number, number];
    const [flat] = emit.node('Reshape', [x!, emit.ints([1, tokens, heads * width])], 1, { allowzero: 1 });
    const turn = attrs<{ inverse: boolean }>(node).inverse ? emit.node('Neg', [sin!], 1)[0]! : sin!;
    const [turned] = emit.node('RotaryEmbedding', [flat!, emit.ints([0]), cos!, turn], 1, { num_heads: heads }, MS);
    emit.node('Reshape', [turned!, emit.ints([tokens, heads, width])], outputs, { allowzero: 1 });
  },
  sampled_choice: sampledChoice,
  // Not ScatterND: with equal ids its threads race, and sums are lost (seen in 1.30). ScatterElements adds in order.
  scatter_add_rows: (emit, node, [values, ids], outputs) => {
    const { shape, dtype } = node.outputs[0] as Value;
    const from = input(node, 0).shape;
    let [zeros] = emit.node('ConstantOfShape', [emit.ints(shape)], 1);
    if (dtype !== 'f32') [zeros] = emit.node('Cast', [zeros!], 1, { to: ONNX_TYPE[dtype] });
    const [column] = emit.node('Reshape', [ids!, emit.ints(from.map((n, i) => (i === 0 ? n : 1)))], 1, {
      allowzero: 1,
    });
    const [index] = emit.node('Expand', [column!, emit.ints(from)], 1);
    emit.node('ScatterElements', [zeros!, index!, values!], outputs, { axis: 0, reduction: 'add' });
  },
  // ONNX Runtime has no Where of booleans.
  select: (emit, node, [condition, a, b], outputs) => {
    if (node.outputs[0]!.dtype !== 'bool') {
      emit.node('Where', [condition!, a!, b!], outputs);
      return;
    }
    const [otherwise] = emit.node('Not', [condition!], 1);
    const [first] = emit.node('And', [condition!, a!], 1);
    const [second] = emit.node('And', [otherwise!, b!], 1);
    emit.node('Or', [first!, second!], outputs);
  },
  sigmoid: plain('Sigmoid'),
  slice: (emit, node, [x], outputs) => {
    const { starts, ends } = attrs<{ starts: number[]; ends: number[] }>(node);
    // Only the axes that are really cut.
    const shape = input(node, 0).shape;
    const axes = shape.flatMap((n, i) => (starts[i] === 0 && ends[i] === n ? [] : [i]));
    const of = (list: number[]) => emit.ints(axes.map((axis) => list[axis] as number));
    if (axes.length === 0) emit.node('Identity', [x!], outputs);
    else emit.node('Slice', [x!, of(starts), of(ends), emit.ints(axes)], outputs);
  },
  softmax: plain('Softmax', { axis: -1 }),
  split: (emit, node, [x], outputs) => {
    const { axis, sizes } = attrs<{ axis: number; sizes: number[] }>(node);
    emit.node('Split', [x!, emit.ints(sizes)], outputs, { axis });
  },
  sqrt: plain('Sqrt'),
  sub: plain('Sub'),
  sum_of_squares: 'decompose',
  swiglu: 'decompose',
  swiglu_grad: 'decompose',
  transpose: (emit, node, inputs, outputs) => {
    emit.node('Transpose', inputs, outputs, { perm: attrs<{ perm: number[] }>(node).perm });
  },
  uniform,
};

export const decomposed: ReadonlySet<string> = new Set(
  Object.entries(lowerings).flatMap(([name, lowering]) => (lowering === 'decompose' ? [name] : [])),
);

export function toAttributes(values: AttributeValues): OnnxAttribute[] {
  return Object.entries(values).map(([name, value]) => attribute(name, value));
}
