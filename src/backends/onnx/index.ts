// The ONNX Runtime backend: a whole program is one ONNX model and one call, on the CPU of any machine.
// States are fed as they lie in memory. A state that is replaced is written into a second buffer, and the two change
// places after the run, so that no kernel reads what another writes.
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Graph } from '../../graph/graph.ts';
import { type HostArray, hostArray, sizeOf, type TensorType, typeName } from '../../graph/types.ts';
import { mix32 } from '../../shared/random.ts';
import type { Backend, Executable, Tensors } from '../contract.ts';
import { decomposed } from './lowering.ts';
import { type LoweredProgram, lowerProgram, type MaskInput } from './program.ts';

export interface OnnxOptions {
  /** threads within an operator; by default one a core */
  readonly threads?: number;
}

interface State {
  readonly type: TensorType;
  front: Tensor;
  /** where the next whole write goes; made at the first one */
  back: Tensor | null;
}

function tensor(type: TensorType, data: HostArray): Tensor {
  if (type.dtype === 'f32') return new Tensor('float32', data as Float32Array, type.shape);
  if (type.dtype === 'i32') return new Tensor('int32', data as Int32Array, type.shape);
  return new Tensor('bool', data as Uint8Array, type.shape);
}

function checked(kind: string, name: string, type: TensorType, data: HostArray | undefined): HostArray {
  if (!data) throw new Error(`${kind} '${name}' is missing: expected ${typeName(type)}`);
  if (
    data.length !== sizeOf(type.shape) ||
    data.constructor !== hostArray({ dtype: type.dtype, shape: [0] }).constructor
  )
    throw new Error(`${kind} '${name}': expected ${typeName(type)}, got ${data.constructor.name} of ${data.length}`);
  return data;
}

/** The factors of a dropout mask; see src/ops/dropout_mask.ts. */
export function fillMask(out: Float32Array, { key, p }: Pick<MaskInput, 'key' | 'p'>, tick: number): void {
  const k = mix32((tick ^ key) >>> 0);
  const threshold = Math.floor(p * 2 ** 32);
  const keep = 1 / (1 - p);
  // i·0x9e3779b9 + k, by running sums.
  let counter = k | 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = mix32(counter) >= threshold ? keep : 0;
    counter = (counter + 0x9e3779b9) | 0;
  }
}

class OnnxExecutable implements Executable {
  private readonly maskBuffers: Float32Array[];
  constructor(
    private readonly session: InferenceSession,
    private readonly program: Omit<LoweredProgram, 'model'>,
    private readonly states: Map<string, State>,
  ) {
    this.maskBuffers = program.masks.map((mask) => new Float32Array(mask.size));
  }

  async run(inputs: Tensors): Promise<Tensors> {
    const { program } = this;
    const feeds: Record<string, Tensor> = {};
    for (const [name, type] of program.inputs) {
      const data = checked('input', name, type, inputs[name]);
      // The tick of dropout is read on the host alone.
      if (this.session.inputNames.includes(`input.${name}`)) feeds[`input.${name}`] = tensor(type, data);
    }
    for (const [name, type] of program.states) {
      const state = this.states.get(name);
      if (!state) throw new Error(`state '${name}' is missing: expected ${typeName(type)}`);
      if (typeName(state.type) !== typeName(type))
        throw new Error(`state '${name}' is ${typeName(state.type)}; the program expects ${typeName(type)}`);
      if (this.session.inputNames.includes(`state.${name}`)) feeds[`state.${name}`] = state.front;
    }
    program.masks.forEach((mask, i) => {
      const buffer = this.maskBuffers[i] as Float32Array;
      fillMask(buffer, mask, (inputs[mask.tick] as Int32Array)[0] as number);
      feeds[mask.name] = new Tensor('float32', buffer, mask.shape);
    });
    const fetches: Record<string, Tensor | null> = {};
    for (const output of program.outputs.values()) fetches[output] = null;
    for (const write of program.writes) {
      if (write.start) {
        fetches[write.output] = null;
        fetches[write.start] = null;
        continue;
      }
      const state = this.states.get(write.state) as State;
      state.back ??= tensor(state.type, hostArray(state.type));
      fetches[write.output] = state.back;
    }
    const results = await this.session.run(feeds, fetches);
    for (const write of program.writes) {
      const state = this.states.get(write.state) as State;
      if (write.start) writeRows(state, results[write.output]!, results[write.start]!.data as Int32Array);
      else [state.front, state.back] = [state.back as Tensor, state.front];
    }
    return Object.fromEntries([...program.outputs].map(([name, output]) => [name, results[output]!.data as HostArray]));
  }

  dispose(): Promise<void> {
    return this.session.release();
  }
}

/** Copies [B, heads, n, d] into rows start[b]… of a [B, heads, L, d] state, in place. */
function writeRows(state: State, value: Tensor, start: Int32Array): void {
  const [batch, heads, length, width] = state.type.shape as [number, number, number, number];
  const rows = value.dims[2] as number;
  const from = value.data as Float32Array;
  const to = state.front.data as Float32Array;
  for (let b = 0; b < batch; b++) {
    const at = start[b] as number;
    if (at < 0 || at + rows > length) throw new Error(`a row write from ${at} on leaves the state's ${length} rows`);
    for (let h = 0; h < heads; h++) {
      const head = b * heads + h;
      to.set(from.subarray(head * rows * width, (head + 1) * rows * width), (head * length + at) * width);
    }
  }
}

class OnnxBackend implements Backend {
  readonly name = 'onnx';
  readonly decomposed = decomposed;
  private readonly states = new Map<string, State>();
  constructor(private readonly options: OnnxOptions) {}

  setState(name: string, type: TensorType, data: HostArray): void {
    this.states.set(name, { type, front: tensor(type, checked('state', name, type, data)), back: null });
  }

  getState(name: string): { type: TensorType; data: HostArray } {
    const state = this.states.get(name);
    if (!state) throw new Error(`state '${name}' does not exist`);
    return { type: state.type, data: state.front.data as HostArray };
  }

  hasState(name: string): boolean {
    return this.states.has(name);
  }

  deleteState(name: string): void {
    this.states.delete(name);
  }

  async compile(graph: Graph): Promise<Executable> {
    const { model, ...program } = lowerProgram(graph);
    const session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      ...(this.options.threads && { intraOpNumThreads: this.options.threads }),
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    return new OnnxExecutable(session, program, this.states);
  }
}

export async function createOnnxBackend(options: OnnxOptions = {}): Promise<Backend> {
  return new OnnxBackend(options);
}
