// The CUDA backend: programs run on an NVIDIA card through the driver API, NVRTC and cuBLASLt, without PyTorch and
// without a compiler on the machine.
import type { Graph } from '../../graph/graph.ts';
import { bytesOf, type HostArray, type TensorType } from '../../graph/types.ts';
import type { Backend, Executable, ProgramMemory } from '../contract.ts';
import { tensorCoresTake } from './attention.ts';
import { type CudaOptions, Device } from './device.ts';
import { type Plan, planProgram } from './plan.ts';
import { CudaProgram, programMemory } from './program.ts';
import { allocatedBytes, Store } from './store.ts';

export type { CudaOptions } from './device.ts';

class CudaBackend implements Backend {
  readonly name = 'cuda';
  readonly decomposed: ReadonlySet<string> = new Set();
  readonly ahead = 8;
  readonly walksSegments = tensorCoresTake;
  private readonly store: Store;
  private readonly plans = new WeakMap<Graph, Plan>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly device: Device) {
    this.store = new Store(device.driver, () => device.settle());
  }

  setState(name: string, type: TensorType, data: HostArray): void {
    this.store.set(name, type, data);
  }

  clearState(name: string, type: TensorType): void {
    this.store.clear(name, type);
  }

  getState(name: string): { type: TensorType; data: HostArray } {
    return this.store.get(name);
  }

  typeOf(name: string): TensorType {
    return this.store.find(name).type;
  }

  hasState(name: string): boolean {
    return this.store.has(name);
  }

  deleteState(name: string): void {
    this.store.delete(name);
  }

  /** The arena counts as free: it is there for programs to come. */
  memory(): { free: number; total: number } {
    const { free, total } = this.device.driver.memory();
    return { free: free + this.device.arena.bytes, total };
  }

  stateBytes(type: TensorType): number {
    return allocatedBytes(bytesOf(type));
  }

  needs(graph: Graph): ProgramMemory {
    return programMemory(graph, this.plan(graph));
  }

  async compile(graph: Graph): Promise<Executable> {
    return new CudaProgram(this.device, this.store, graph, this.plan(graph), (work) => this.inTurn(work));
  }

  private plan(graph: Graph): Plan {
    const plan = this.plans.get(graph) ?? planProgram(graph);
    this.plans.set(graph, plan);
    return plan;
  }

  private inTurn<T>(work: () => Promise<T> | T): Promise<T> {
    const next = this.last.then(work);
    this.last = next.catch(() => {});
    return next;
  }
}

/** Throws a RunError that says what is missing where no card can be used. */
export async function createCudaBackend(options: CudaOptions = {}): Promise<Backend> {
  return new CudaBackend(new Device(options));
}
