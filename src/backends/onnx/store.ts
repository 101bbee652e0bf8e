// The states of the backend: tensors over typed arrays.
import { Tensor } from 'onnxruntime-node';
import { type HostArray, sizeOf, type TensorType, typeName } from '../../graph/types.ts';

export interface State {
  readonly type: TensorType;
  readonly shown: string;
  tensor: Tensor;
  /** how many writes it has taken since it was set */
  writes: number;
}

/** A tensor over the array, without a copy. */
export function tensorOver(type: TensorType, data: HostArray): Tensor {
  if (type.dtype === 'f32') return new Tensor('float32', data as Float32Array, type.shape);
  if (type.dtype === 'i32') return new Tensor('int32', data as Int32Array, type.shape);
  if (type.dtype === 'u8') return new Tensor('uint8', data as Uint8Array, type.shape);
  if (type.dtype === 'bool') return new Tensor('bool', data as Uint8Array, type.shape);
  throw new Error(`the ONNX Runtime backend holds no ${type.dtype} tensors`);
}

const ARRAYS = {
  f32: Float32Array,
  i32: Int32Array,
  u8: Uint8Array,
  bool: Uint8Array,
  bf16: Uint16Array,
  f16: Uint16Array,
};

/** The array, when it is the right storage for the type. */
export function checked(what: string, type: TensorType, data: HostArray | undefined): HostArray {
  if (!data) throw new Error(`${what} is missing: expected ${typeName(type)}`);
  // A Buffer is a Uint8Array too.
  if (!(data instanceof ARRAYS[type.dtype]) || data.length !== sizeOf(type.shape))
    throw new Error(`${what}: expected ${typeName(type)}, got ${data.constructor.name} of ${data.length}`);
  return data;
}

export class Store {
  private readonly states = new Map<string, State>();
  private last: Promise<unknown> = Promise.resolve();

  set(name: string, type: TensorType, data: HostArray): void {
    const tensor = tensorOver(type, checked(`state '${name}'`, type, data));
    this.states.set(name, { type, shown: typeName(type), tensor, writes: 0 });
  }

  has(name: string): boolean {
    return this.states.has(name);
  }

  delete(name: string): void {
    this.states.delete(name);
  }

  get(name: string, expected = ''): State {
    const state = this.states.get(name);
    if (!state) throw new Error(`state '${name}' is missing${expected && `: expected ${expected}`}`);
    if (expected && state.shown !== expected)
      throw new Error(`state '${name}' is ${state.shown}; the program expects ${expected}`);
    return state;
  }

  /** Runs that share states follow one another. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.last.then(work);
    this.last = next.catch(() => {});
    return next;
  }
}

export function replace(state: State, tensor: Tensor): void {
  state.tensor = tensor;
  state.writes++;
}

export function checkRows(name: string, state: State, value: Tensor, start: Int32Array): void {
  const length = state.type.shape[2] as number;
  const rows = value.dims[2] as number;
  for (const at of start)
    if (at < 0 || at + rows > length)
      throw new Error(`state '${name}': expected rows within its ${length}, got ${rows} from ${at} on`);
}

/** Copies [B, heads, n, d] into rows start[b]… of a [B, heads, L, d] state, in place. */
export function writeRows(state: State, value: Tensor, start: Int32Array): void {
  const [batch, heads, length, width] = state.type.shape as [number, number, number, number];
  const rows = value.dims[2] as number;
  const from = value.data as HostArray;
  const to = state.tensor.data as HostArray;
  state.writes++;
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++) {
      const head = b * heads + h;
      const part = from.subarray(head * rows * width, (head + 1) * rows * width);
      to.set(part, (head * length + (start[b] as number)) * width);
    }
}
