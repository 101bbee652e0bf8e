// The states of the backend: named tensors in device memory. Programs bind their addresses, and bind again after one moved.
import type { HostArray, TensorType } from '../../graph/types.ts';
import { bytesOf, hostArray, typeName } from '../../graph/types.ts';
import type { Driver, Pointer } from './ffi/driver.ts';

interface State {
  readonly type: TensorType;
  readonly pointer: Pointer;
}

const MIB = 2 ** 20;

/** What the driver takes for an allocation: small ones share pages of 2 MiB, others take whole ones (docs/log.md). */
export const allocatedBytes = (bytes: number): number =>
  bytes >= MIB ? Math.ceil(bytes / (2 * MIB)) * 2 * MIB : bytes;

export class Store {
  private readonly states = new Map<string, State>();
  /** counts the moves of states */
  version = 0;
  bytes = 0;

  constructor(
    private readonly driver: Driver,
    private readonly settle: () => void,
  ) {}

  set(name: string, type: TensorType, data: HostArray): void {
    if (data.byteLength !== bytesOf(type))
      throw new Error(`state '${name}': expected ${typeName(type)}, got ${data.constructor.name} of ${data.length}`);
    this.driver.upload(this.reserve(name, type), data);
  }

  /** Zeros, which are made on the device. */
  clear(name: string, type: TensorType): void {
    this.driver.clear(this.reserve(name, type), bytesOf(type));
  }

  /** Where a state of this type lies: in its old bytes if they are as many. */
  private reserve(name: string, type: TensorType): Pointer {
    const known = this.states.get(name);
    this.settle();
    if (known && bytesOf(known.type) === bytesOf(type)) {
      this.states.set(name, { type, pointer: known.pointer });
      return known.pointer;
    }
    this.delete(name);
    const pointer = this.driver.allocate(bytesOf(type), `the state '${name}' (${typeName(type)})`);
    this.states.set(name, { type, pointer });
    this.bytes += bytesOf(type);
    this.version++;
    return pointer;
  }

  get(name: string): { type: TensorType; data: HostArray } {
    const { type, pointer } = this.find(name);
    const data = hostArray(type);
    this.settle();
    this.driver.download(data, pointer);
    return { type, data };
  }

  has(name: string): boolean {
    return this.states.has(name);
  }

  delete(name: string): void {
    const state = this.states.get(name);
    if (!state) return;
    this.settle();
    this.driver.free(state.pointer);
    this.states.delete(name);
    this.bytes -= bytesOf(state.type);
    this.version++;
  }

  /** @param expected the type that a program was traced with */
  find(name: string, expected?: TensorType): State {
    const state = this.states.get(name);
    if (!state) throw new Error(`state '${name}' is missing${expected ? `: expected ${typeName(expected)}` : ''}`);
    if (expected && typeName(state.type) !== typeName(expected))
      throw new Error(`state '${name}' is ${typeName(state.type)}; the program expects ${typeName(expected)}`);
    return state;
  }
}
