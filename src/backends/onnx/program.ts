// Lowers a whole graph to one ONNX model: inputs, states and host-made dropout masks in, outputs and writes out.
import type { Graph, Node, Origin, Value } from '../../graph/graph.ts';
import type { HostArray, TensorType } from '../../graph/types.ts';
import type { OpName } from '../../ops/index.ts';
import { liveNodes } from '../../passes/live.ts';
import { type Emitter, ONNX_TYPE } from './emitter.ts';
import { biasedProducts } from './fusion.ts';
import { type Int8Weight, int8Emitter } from './int8.ts';
import { gemm, lowerings, toAttributes } from './lowering.ts';
import { encodeModel, type OnnxGraph } from './proto.ts';

/** A dropout mask that the host makes before each run; its tick is an input, a state or a constant. */
export interface MaskInput {
  /** the ONNX input to feed */
  readonly name: string;
  readonly tick: Exclude<Origin, { kind: 'node' }>;
  readonly shape: readonly number[];
  readonly p: number;
  readonly key: number;
}

export interface LoweredProgram {
  readonly model: Uint8Array;
  /** graph inputs and states by name; of these only the `fed` are inputs of the model (`input.x`, `state.x`) */
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly states: ReadonlyMap<string, TensorType>;
  readonly fed: ReadonlySet<string>;
  readonly masks: readonly MaskInput[];
  /** ONNX output names of the graph's outputs and of its writes */
  readonly outputs: ReadonlyMap<string, string>;
  readonly writes: readonly {
    readonly state: string;
    readonly output: string;
    readonly start: string | null;
  }[];
}

/**
 * @param builtIn values of states that become part of the model
 * @param int8 products that are computed in 8 bits, with their weights
 */
export function lowerProgram(
  graph: Graph,
  builtIn: ReadonlyMap<string, HostArray> = new Map(),
  int8: ReadonlyMap<Node, Int8Weight> = new Map(),
): LoweredProgram {
  const onnx: OnnxGraph = { node: [], initializer: [], input: [], output: [] };
  const names = new Map<Value, string>();
  const literals = new Set<string>();
  const inputs = new Map<string, TensorType>();
  const states = new Map<string, TensorType>();
  const masks: MaskInput[] = [];
  let fresh = 0;

  const onnxType = ({ dtype }: TensorType): number => {
    if (dtype === 'bf16' || dtype === 'f16')
      throw new Error(`the ONNX Runtime backend computes in float32 on the CPU; the program holds ${dtype} tensors`);
    return ONNX_TYPE[dtype];
  };
  const declare = (list: OnnxGraph['input'], name: string, type: TensorType) => {
    list.push({ name, dims: type.shape, dataType: onnxType(type) });
  };
  const known = ({ origin, type }: Value) => {
    if (origin.kind === 'input') inputs.set(origin.name, type);
    if (origin.kind === 'state') states.set(origin.name, type);
  };
  const nameOf = (value: Value): string => {
    const found = names.get(value);
    if (found) return found;
    const { origin } = value;
    if (origin.kind === 'node') throw new Error(`${value} is used before it is made`);
    const name = origin.kind === 'constant' ? `const.${value.id}` : `${origin.kind}.${origin.name}`;
    names.set(value, name);
    const data = origin.kind === 'constant' ? origin.data : origin.kind === 'state' && builtIn.get(origin.name);
    if (data) emit.tensor(name, value.shape, onnxType(value.type), data);
    else declare(onnx.input, name, value.type);
    known(value);
    return name;
  };
  const emit: Emitter = {
    node(opType, from, to, attributes = {}, domain = '') {
      const output = typeof to === 'number' ? Array.from({ length: to }, () => `t.${fresh++}`) : to;
      onnx.node.push({ opType, domain, input: from, output, attribute: toAttributes(attributes) });
      return output;
    },
    ints(values) {
      return emit.tensor(`ints.${values.join(',')}`, [values.length], 7, BigInt64Array.from(values, BigInt));
    },
    tensor(name, dims, dataType, data) {
      if (!literals.has(name)) {
        const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        onnx.initializer.push({ name, dims, dataType, rawData });
        literals.add(name);
      }
      return name;
    },
  };
  const nodes = liveNodes(graph);
  const biased = biasedProducts(graph, nodes, int8);
  const multiplyInt8 = int8Emitter(emit);
  const absorbed = new Set([...biased.values()].map(({ product }) => product));
  const lower = (node: Node) => {
    if (absorbed.has(node)) return;
    const lowering = lowerings[node.op.name as OpName];
    if (lowering === 'decompose')
      throw new Error(`${node.op.name} was to be decomposed: trace with this backend's set`);
    const outputs = node.outputs.map((out) => `v.${out.id}`);
    node.outputs.forEach((out, i) => {
      names.set(out, outputs[i] as string);
    });
    if (node.op.name === 'dropout_mask') {
      const tick = node.inputs[0] as Value;
      if (tick.origin.kind === 'node')
        throw new Error('dropout_mask: expected a tick that the host can read, so an input or a state; it is computed');
      known(tick);
      const { shape, p, key } = node.attrs as { shape: readonly number[]; p: number; key: number };
      const name = outputs[0] as string;
      declare(onnx.input, name, { dtype: 'f32', shape });
      masks.push({ name, tick: tick.origin, shape, p, key });
      return;
    }
    for (const out of node.outputs) onnxType(out.type);
    const sum = biased.get(node);
    const weight = int8.get(node);
    if (weight) {
      known(node.inputs[1] as Value);
      multiplyInt8(node, nameOf(node.inputs[0] as Value), weight, outputs);
    } else if (sum) gemm(emit, sum.product, [...sum.product.inputs, sum.addend].map(nameOf), outputs);
    else lowering(emit, node, node.inputs.map(nameOf), outputs);
  };
  for (const node of nodes) lower(node);

  // What is no node's output, or is one already, goes through an Identity: ONNX wants each output once, and made.
  const taken = new Set<string>();
  const result = (value: Value): string => {
    let name = nameOf(value);
    const made = value.origin.kind === 'node' && value.origin.node.op.name !== 'dropout_mask';
    if (!made || taken.has(name)) name = emit.node('Identity', [name], 1)[0] as string;
    taken.add(name);
    declare(onnx.output, name, value.type);
    return name;
  };
  const outputs = new Map([...graph.outputs].map(([name, value]) => [name, result(value)]));
  const starts = new Map<Value, string>();
  const writes = graph.writes.map(({ state, value, start }) => {
    known(state);
    if (start && !starts.has(start)) starts.set(start, result(start));
    const { name } = state.origin as { name: string };
    return { state: name, output: result(value), start: start && (starts.get(start) as string) };
  });
  const fed = new Set(onnx.input.map(({ name }) => name));
  return { model: encodeModel(onnx), inputs, states, fed, masks, outputs, writes };
}
