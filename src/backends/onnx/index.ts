// The ONNX Runtime backend: a whole program is one ONNX model and one call, on the CPU of any machine.
// States are fed as they lie in memory. A state that is replaced takes the array that the run hands back; nothing is
// given to write into, since onnxruntime-node 1.30 would hand back a copy of that all the same.
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Graph, Node } from '../../graph/graph.ts';
import { bytesOf, type HostArray, hostArray, sizeOf, type TensorType, typeName } from '../../graph/types.ts';
import { countFlops } from '../../passes/cost.ts';
import { plannedMemory } from '../../passes/memory_plan.ts';
import { InputError } from '../../shared/errors.ts';
import type { Backend, CompileOptions, Executable, ProgramMemory, Tensors } from '../contract.ts';
import { type Int8Weight, int8Products, toInt8 } from './int8.ts';
import { decomposed } from './lowering.ts';
import { fillMask } from './mask.ts';
import { type LoweredProgram, lowerProgram, type MaskInput } from './program.ts';
import { checked, checkRows, replace, type State, Store, tensorOver, writeRows } from './store.ts';

export interface OnnxOptions {
  /** threads within an operator; by default ONNX Runtime's own choice, one a physical core */
  readonly threads?: number;
  /** products with frozen weights in 8 bits: int8.ts */
  readonly int8?: boolean;
}

/**
 * Frozen states up to this size become part of programs that run often: ONNX Runtime then lays the weights out for its
 * products once (16 × 1024 by 1024 × 4096 takes 0.6 of the time), and nothing but caches passes to it at each run. But
 * every such program holds its own copy, so larger models are fed as they lie in memory.
 */
const BUILT_IN_BYTES = 256 * 2 ** 20;

interface BuiltIn {
  readonly name: string;
  readonly state: State;
  readonly writes: number;
}

class OnnxExecutable implements Executable {
  private readonly states: readonly { name: string; shown: string; feed: string | null }[];
  private readonly masks: readonly { mask: MaskInput; buffer: Float32Array; tensor: Tensor }[];

  constructor(
    private readonly session: InferenceSession,
    private readonly program: Omit<LoweredProgram, 'model'>,
    private readonly store: Store,
    private readonly builtIn: readonly BuiltIn[],
  ) {
    this.states = [...program.states].map(([name, type]) => {
      const feed = `state.${name}`;
      return { name, shown: typeName(type), feed: program.fed.has(feed) ? feed : null };
    });
    this.masks = program.masks.map((mask) => {
      const buffer = new Float32Array(sizeOf(mask.shape));
      return { mask, buffer, tensor: new Tensor('float32', buffer, mask.shape) };
    });
  }

  run(inputs: Tensors): Promise<Tensors> {
    return this.store.inTurn(() => this.runNow(inputs));
  }

  private async runNow(inputs: Tensors): Promise<Tensors> {
    const feeds = this.feeds(inputs);
    // The states as they are now: one that is set anew during the run keeps its new value.
    const writes = this.program.writes.map((write) => ({ ...write, target: this.store.get(write.state) }));
    const results = await this.session.run(feeds);
    const rows = writes.flatMap(({ state, target, output, start }) =>
      start ? [{ state, target, value: results[output]!, start: results[start]!.data as Int32Array }] : [],
    );
    for (const { state, target, value, start } of rows) checkRows(state, target, value, start);
    for (const { target, value, start } of rows) writeRows(target, value, start);
    for (const { target, output, start } of writes) if (!start) replace(target, results[output]!);
    const { outputs } = this.program;
    return Object.fromEntries([...outputs].map(([name, output]) => [name, results[output]!.data as HostArray]));
  }

  private feeds(inputs: Tensors): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    for (const [name, type] of this.program.inputs) {
      const data = checked(`input '${name}'`, type, inputs[name]);
      const feed = `input.${name}`;
      if (this.program.fed.has(feed)) feeds[feed] = tensorOver(type, data);
    }
    for (const { name, state, writes } of this.builtIn)
      if (this.store.get(name) !== state || state.writes !== writes)
        throw new Error(
          `state '${name}' has changed since a program was compiled that holds it fixed; compile it again`,
        );
    // Looked up at every run: another program may have swapped a state's buffers.
    for (const { name, shown, feed } of this.states) {
      const state = this.store.get(name, shown);
      if (feed) feeds[feed] = state.tensor;
    }
    for (const { mask, buffer, tensor } of this.masks) {
      fillMask(buffer, mask, this.tick(mask, inputs));
      feeds[mask.name] = tensor;
    }
    return feeds;
  }

  private tick({ tick }: MaskInput, inputs: Tensors): number {
    if (tick.kind === 'constant') return tick.data[0] as number;
    const { data } = tick.kind === 'input' ? { data: inputs[tick.name] } : this.store.get(tick.name).tensor;
    return (data as Int32Array)[0] as number;
  }

  dispose(): Promise<void> {
    return this.store.inTurn(() => this.session.release());
  }
}

/**
 * So little is done before other threads have come, and these, awake for a while after it, would be in the way of the
 * next program's own. A decoding step of the bundled model for one image has 20 million, a prefill 1,200 million.
 */
const FEW_FLOPS = 1e8;

class OnnxBackend implements Backend {
  readonly name = 'onnx';
  readonly decomposed = decomposed;
  readonly ahead = 1;
  readonly walksSegments = (): boolean => false;
  private readonly store = new Store();
  private readonly weights = new WeakMap<State, { readonly writes: number; readonly weight: Int8Weight }>();
  constructor(private readonly options: OnnxOptions) {}

  setState(name: string, type: TensorType, data: HostArray): void {
    this.store.set(name, type, data);
  }

  clearState(name: string, type: TensorType): void {
    this.setState(name, type, hostArray(type));
  }

  getState(name: string): { type: TensorType; data: HostArray } {
    const { type, tensor } = this.store.get(name);
    return { type, data: tensor.data as HostArray };
  }

  typeOf(name: string): TensorType {
    return this.store.get(name).type;
  }

  hasState(name: string): boolean {
    return this.store.has(name);
  }

  deleteState(name: string): void {
    this.store.delete(name);
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

  async compile(graph: Graph, { frozen = () => false, often = false }: CompileOptions = {}): Promise<Executable> {
    const products = this.options.int8 ? int8Products(graph, frozen) : new Map<Node, string>();
    const builtIn = often || products.size > 0 ? this.builtIn(graph, frozen, new Set(products.values())) : [];
    const values = new Map(builtIn.map(({ name, state }) => [name, state.tensor.data as HostArray]));
    const int8 = new Map([...products].map(([product, name]) => [product, this.inInt8(name)]));
    const { model, ...program } = lowerProgram(graph, values, int8);
    const session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      // For a training step of 2500 nodes 'all' takes 0.25 s to make against 0.1 s unoptimised, and runs 2–5 % faster.
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      enableMemPattern: true,
      intraOpNumThreads: countFlops(graph) < FEW_FLOPS ? 1 : (this.options.threads ?? 0),
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    return new OnnxExecutable(session, program, this.store, builtIn);
  }

  /** The frozen states, when they are small enough to be part of a program. */
  private builtIn(graph: Graph, frozen: (state: string) => boolean, inInt8: ReadonlySet<string>): BuiltIn[] {
    const read = [...graph.states].filter(([name]) => frozen(name));
    const size = read.reduce(
      (sum, [name, { type }]) => sum + (inInt8.has(name) ? sizeOf(type.shape) : bytesOf(type)),
      0,
    );
    if (size > BUILT_IN_BYTES) {
      if (inInt8.size === 0) return [];
      const [taken, most] = [size, BUILT_IN_BYTES].map((bytes) => `${Math.ceil(bytes / 2 ** 20)} MiB`);
      throw new InputError(
        `int8: each of several programs holds a copy of the model's weights, which take ${taken} in 8 bits; ` +
          `expected ${most} at most: leave the dtype out.`,
      );
    }
    return read.map(([name, { type }]) => {
      const state = this.store.get(name, typeName(type));
      return { name, state, writes: state.writes };
    });
  }

  /** A weight in 8 bits, made once for all programs. */
  private inInt8(name: string): Int8Weight {
    const state = this.store.get(name);
    const found = this.weights.get(state);
    if (found?.writes === state.writes) return found.weight;
    const weight = toInt8(name, state.tensor.data as Float32Array, state.type.shape as [number, number]);
    this.weights.set(state, { writes: state.writes, weight });
    return weight;
  }
}

export async function createOnnxBackend(options: OnnxOptions = {}): Promise<Backend> {
  return new OnnxBackend(options);
}
