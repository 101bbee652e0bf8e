// Lowers a whole graph to one ONNX model: inputs, states and host-made dropout masks in, outputs and writes out.
import type { Graph, Node, Value } from '../../graph/graph.ts';
import type { HostArray, TensorType } from '../../graph/types.ts';
import type { OpName } from '../../ops/index.ts';
import { liveNodes } from '../../passes/live.ts';
import { type Emitter, lowerings, ONNX_TYPE, toAttributes } from './lowering.ts';
import { encodeModel, type OnnxGraph } from './proto.ts';

/** A dropout mask that the host makes before each run, from the tick input. */
export interface MaskInput {
  readonly name: string;
  readonly tick: string;
  readonly size: number;
  readonly shape: readonly number[];
  readonly p: number;
  readonly key: number;
}

export interface LoweredProgram {
  readonly model: Uint8Array;
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly states: ReadonlyMap<string, TensorType>;
  readonly masks: readonly MaskInput[];
  /** ONNX output names of the graph's outputs and of its writes */
  readonly outputs: ReadonlyMap<string, string>;
  readonly writes: readonly {
    readonly state: string;
    readonly output: string;
    readonly start: string | null;
    readonly type: TensorType;
  }[];
}

const bytes = (data: HostArray | BigInt64Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

export function lowerProgram(graph: Graph): LoweredProgram {
  const onnx: OnnxGraph = { node: [], initializer: [], input: [], output: [] };
  const names = new Map<Value, string>();
  const intNames = new Map<string, string>();
  const inputs = new Map<string, TensorType>();
  const states = new Map<string, TensorType>();
  const masks: MaskInput[] = [];
  let fresh = 0;

  const declare = (list: OnnxGraph['input'], name: string, type: TensorType) => {
    if (type.dtype === 'bf16' || type.dtype === 'f16')
      throw new Error(`the ONNX Runtime backend computes in float32 on the CPU; '${name}' is ${type.dtype}`);
    list.push({ name, dims: type.shape, dataType: ONNX_TYPE[type.dtype] });
  };
  const nameOf = (value: Value): string => {
    const found = names.get(value);
    if (found) return found;
    const { origin } = value;
    if (origin.kind === 'node') throw new Error(`${value} is used before it is made`);
    const name = origin.kind === 'constant' ? `const.${value.id}` : `${origin.kind}.${origin.name}`;
    names.set(value, name);
    if (origin.kind === 'constant')
      onnx.initializer.push({ name, dims: value.shape, dataType: ONNX_TYPE[value.dtype], rawData: bytes(origin.data) });
    else {
      declare(onnx.input, name, value.type);
      (origin.kind === 'input' ? inputs : states).set(origin.name, value.type);
    }
    return name;
  };
  const emit: Emitter = {
    node(opType, from, to, attributes = {}, domain = '') {
      const output = typeof to === 'number' ? Array.from({ length: to }, () => `t.${fresh++}`) : to;
      onnx.node.push({ opType, domain, input: from, output, attribute: toAttributes(attributes) });
      return output;
    },
    ints(values) {
      const key = values.join(',');
      const found = intNames.get(key);
      if (found) return found;
      const name = `ints.${intNames.size}`;
      intNames.set(key, name);
      onnx.initializer.push({
        name,
        dims: [values.length],
        dataType: 7,
        rawData: bytes(BigInt64Array.from(values, BigInt)),
      });
      return name;
    },
  };
  const lower = (node: Node) => {
    const lowering = lowerings[node.op.name as OpName];
    if (lowering === 'decompose')
      throw new Error(`${node.op.name} was to be decomposed: trace with this backend's set`);
    const outputs = node.outputs.map((out) => `v.${out.id}`);
    node.outputs.forEach((out, i) => {
      names.set(out, outputs[i] as string);
    });
    if (node.op.name === 'dropout_mask') {
      const out = node.outputs[0] as Value;
      const tick = node.inputs[0] as Value;
      if (tick.origin.kind !== 'input') throw new Error('dropout_mask: expected tick to be an input of the program');
      inputs.set(tick.origin.name, tick.type);
      declare(onnx.input, outputs[0] as string, out.type);
      const { p, key } = node.attrs as { p: number; key: number };
      masks.push({
        name: outputs[0] as string,
        tick: tick.origin.name,
        size: out.shape.reduce((a, b) => a * b, 1),
        shape: out.shape,
        p,
        key,
      });
      return;
    }
    lowering(emit, node, node.inputs.map(nameOf), outputs);
  };
  for (const node of liveNodes(graph)) lower(node);

  // An Identity each, so that an output may also be an input, or be returned twice.
  const result = (value: Value): string => {
    const [name] = emit.node('Identity', [nameOf(value)], 1);
    declare(onnx.output, name!, value.type);
    return name!;
  };
  const outputs = new Map([...graph.outputs].map(([name, value]) => [name, result(value)]));
  const writes = graph.writes.map(({ state, value, start }) => {
    nameOf(state);
    const name = (state.origin as { name: string }).name;
    return { state: name, output: result(value), start: start && result(start), type: value.type };
  });
  return { model: encodeModel(onnx), inputs, states, masks, outputs, writes };
}
