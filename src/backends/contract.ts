// What a backend offers: named state that lives in it, and programs compiled from graphs.
import type { Graph } from '../graph/graph.ts';
import type { DType, HostArray, TensorType } from '../graph/types.ts';

export type Tensors = Record<string, HostArray>;

export interface Executable {
  /** Runs the program once: inputs by name in, outputs by name out; states are read and written in place. */
  run(inputs: Tensors): Promise<Tensors>;
  dispose(): Promise<void>;
}

/** What a program takes beside the states, in bytes. */
export interface ProgramMemory {
  /** its values: programs run one after another in the same bytes, so that of several the largest counts */
  readonly shared: number;
  /** its inputs and constants, which no other program uses */
  readonly own: number;
}

export interface CompileOptions {
  /**
   * Names the states, weights mostly, that stay as they are while the program lives, so that a backend may build them
   * in. A run after one was changed all the same is an error.
   */
  readonly frozen?: (state: string) => boolean;
  /** It runs over and over, so that a copy of frozen weights is worth its memory. */
  readonly often?: boolean;
}

export interface Backend {
  readonly name: string;
  /** Ops that this backend wants built from their decomposition: pass it to `new Graph(…)`. */
  readonly decomposed: ReadonlySet<string>;
  /** How many runs are worth calling before the first one's results are there; 1 where a run is done by its caller. */
  readonly ahead: number;
  /** Does attention of such heads walk each segment alone, so that long rows of many cost no more than short ones? */
  walksSegments(dtype: DType, width: number): boolean;
  /** Creates or replaces a state; the backend takes the array over. */
  setState(name: string, type: TensorType, data: HostArray): void;
  /** Creates or replaces a state by zeros. */
  clearState(name: string, type: TensorType): void;
  /** The state's present value; a view where the backend can give one, so copy before the next run. */
  getState(name: string): { type: TensorType; data: HostArray };
  /** The state's type, without its value. */
  typeOf(name: string): TensorType;
  /** What a state of the type takes in memory, in bytes. */
  stateBytes(type: TensorType): number;
  hasState(name: string): boolean;
  deleteState(name: string): void;
  /** The memory of a card, in bytes; null where tensors lie in the machine's own. */
  memory(): { readonly free: number; readonly total: number } | null;
  /** What the graph takes once it is compiled. Nothing is made for it. */
  needs(graph: Graph): ProgramMemory;
  /** Every state the graph names must exist, with the same type, when the program runs. */
  compile(graph: Graph, options?: CompileOptions): Promise<Executable>;
}
