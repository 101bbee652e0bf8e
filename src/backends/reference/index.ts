// The reference backend: every op in plain float64 TypeScript, written from its definition. It is the oracle that the
// conformance suite holds the other backends against, so it decomposes nothing and is not made to be fast.
import type { Graph, Value } from '../../graph/graph.ts';
import { bytesOf, type HostArray, hostArray, type TensorType, typeName } from '../../graph/types.ts';
import { verify } from '../../graph/verify.ts';
import type { OpName } from '../../ops/index.ts';
import { liveNodes } from '../../passes/live.ts';
import { plannedMemory } from '../../passes/memory_plan.ts';
import type { Backend, Executable, ProgramMemory, Tensors } from '../contract.ts';
import { attentions } from './attention.ts';
import { choices } from './choice.ts';
import { elementwise } from './elementwise.ts';
import { checkData, fromHost, toHost } from './host.ts';
import { type Data, type Kernel, type Kernels, roundTo } from './kernel.ts';
import { linalg } from './linalg.ts';
import { shapes } from './shape.ts';
import { training } from './train.ts';

export type { Data } from './kernel.ts';

export const kernels: Kernels = { ...elementwise, ...shapes, ...linalg, ...attentions, ...choices, ...training };

export interface ReferenceBackend extends Backend {
  /**
   * Runs a program with float64 values in and out, for finite differences; states are read and written as in `run`.
   * @param literals float64 values of 0-d constants, which the graph itself holds as f32
   */
  runFloat64(graph: Graph, inputs: Record<string, Data>, literals?: ReadonlyMap<Value, number>): Record<string, Data>;
}

interface State {
  readonly type: TensorType;
  data: Data;
}

class Reference implements ReferenceBackend {
  readonly name = 'reference';
  readonly decomposed: ReadonlySet<string> = new Set();
  readonly ahead = 1;
  readonly walksSegments = (): boolean => false;
  private readonly states = new Map<string, State>();

  setState(name: string, type: TensorType, data: HostArray): void {
    checkData(`state '${name}'`, type, data);
    this.states.set(name, { type, data: fromHost(type, data) });
  }

  clearState(name: string, type: TensorType): void {
    this.setState(name, type, hostArray(type));
  }

  getState(name: string): { type: TensorType; data: HostArray } {
    const state = this.states.get(name);
    if (!state) throw new Error(`state '${name}' does not exist`);
    return { type: state.type, data: toHost(state.type, state.data) };
  }

  typeOf(name: string): TensorType {
    return this.getState(name).type;
  }

  hasState(name: string): boolean {
    return this.states.has(name);
  }

  deleteState(name: string): void {
    this.states.delete(name);
  }

  memory(): null {
    return null;
  }

  stateBytes(type: TensorType): number {
    return bytesOf(type);
  }

  needs(graph: Graph): ProgramMemory {
    return plannedMemory(graph);
  }

  async compile(graph: Graph): Promise<Executable> {
    verify(graph);
    return {
      run: async (inputs) => {
        const values: Record<string, Data> = {};
        for (const [name, { type }] of graph.inputs) {
          const data = inputs[name];
          checkData(`input '${name}'`, type, data);
          values[name] = fromHost(type, data as HostArray);
        }
        const results: Tensors = {};
        for (const [name, data] of Object.entries(this.execute(graph, values)))
          results[name] = toHost((graph.outputs.get(name) as Value).type, data);
        return results;
      },
      dispose: async () => {},
    };
  }

  runFloat64(graph: Graph, inputs: Record<string, Data>, literals?: ReadonlyMap<Value, number>): Record<string, Data> {
    for (const [name, { type }] of graph.inputs) checkData(`input '${name}'`, type, inputs[name], true);
    return this.execute(graph, inputs, literals);
  }

  private execute(
    graph: Graph,
    inputs: Record<string, Data>,
    literals?: ReadonlyMap<Value, number>,
  ): Record<string, Data> {
    for (const name of graph.states.keys()) this.stateOf(graph, name);
    const computed = new Map<Value, Data>();
    const read = (value: Value): Data => {
      const { origin, type } = value;
      if (origin.kind === 'node') return computed.get(value) as Data;
      if (origin.kind !== 'constant')
        return origin.kind === 'input' ? (inputs[origin.name] as Data) : this.stateOf(graph, origin.name).data;
      const literal = literals?.get(value);
      return literal === undefined ? fromHost(type, origin.data) : Float64Array.of(literal);
    };
    for (const node of liveNodes(graph)) {
      const kernel = kernels[node.op.name as OpName] as Kernel | undefined;
      if (!kernel) throw new Error(`reference: no kernel for the op '${node.op.name}'`);
      const results = kernel(
        node.inputs.map((value) => ({ type: value.type, data: read(value) })),
        node.attrs,
        node.outputs.map((value) => value.type),
      );
      // A narrow format holds what was computed in float64 rounded once, at the op's end.
      node.outputs.forEach((value, i) => {
        computed.set(value, rounded(value.type, results[i] as Data));
      });
    }
    // Kernels may hand on their input's array, so what leaves is copied.
    const outputs = Object.fromEntries([...graph.outputs].map(([name, value]) => [name, read(value).slice()]));
    // All values first: a write must not be seen by another write's value or start.
    const writes = graph.writes.map(({ state, value, start }) => ({
      state: this.stateOf(graph, (state.origin as { name: string }).name),
      rows: value.shape[2] as number,
      data: read(value).slice(),
      start: start && read(start).slice(),
    }));
    for (const { state, rows, data, start } of writes) {
      if (start) writeRows(state, data, rows, start);
      else state.data = data;
    }
    return outputs;
  }

  /** The state that a graph names, of the type it expects. */
  private stateOf(graph: Graph, name: string): State {
    const expected = typeName((graph.states.get(name) as Value).type);
    const state = this.states.get(name);
    if (!state) throw new Error(`state '${name}' is missing: expected ${expected}`);
    if (typeName(state.type) !== expected)
      throw new Error(`state '${name}' is ${typeName(state.type)}; the program expects ${expected}`);
    return state;
  }
}

const rounded = ({ dtype }: TensorType, data: Data): Data =>
  dtype === 'bf16' || dtype === 'f16' ? data.map((x) => roundTo(dtype, x)) : data;

/** Writes [B, heads, rows, d] into rows start[b]… of a [B, heads, L, d] state. */
function writeRows(state: State, data: Data, rows: number, start: Data): void {
  const [batch, heads, length, width] = state.type.shape as [number, number, number, number];
  const next = state.data.slice();
  for (let b = 0; b < batch; b++) {
    const at = start[b] as number;
    if (at < 0 || at + rows > length) throw new Error(`a row write from ${at} on leaves the state's ${length} rows`);
    for (let h = 0; h < heads; h++) {
      const head = b * heads + h;
      next.set(data.subarray(head * rows * width, (head + 1) * rows * width), (head * length + at) * width);
    }
  }
  state.data = next;
}

export const createReferenceBackend = (): ReferenceBackend => new Reference();
