// The CUDA driver API: what texlens calls of it, with every result checked.
import { RunError } from '../../../shared/errors.ts';
import { addressOf, type LibraryHandle, loadLibrary, viewOf } from './library.ts';

/** Handles and device addresses are plain numbers: user-space addresses stay below 2⁵³. */
export type Handle = number;
export type Pointer = number;

/** CUdevice_attribute */
const ATTRIBUTE = { multiprocessors: 16, major: 75, minor: 76, sharedOptin: 97 } as const;
/** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
const MAX_DYNAMIC_SHARED = 8;
const NON_BLOCKING = 1;

export class CudaError extends RunError {}

type Call = (...args: unknown[]) => number;

const SIGNATURES = {
  cuInit: 'uint flags',
  cuDriverGetVersion: '_Out_ int *version',
  cuDeviceGetCount: '_Out_ int *count',
  cuDeviceGet: '_Out_ int *device, int ordinal',
  cuDeviceGetName: 'void *name, int length, int device',
  cuDeviceGetAttribute: '_Out_ int *value, int attribute, int device',
  cuDevicePrimaryCtxRetain: '_Out_ uint64_t *context, int device',
  cuCtxSetCurrent: 'uint64_t context',
  cuMemGetInfo_v2: '_Out_ uint64_t *free, _Out_ uint64_t *total',
  cuMemAlloc_v2: '_Out_ uint64_t *pointer, size_t bytes',
  cuMemFree_v2: 'uint64_t pointer',
  cuMemHostAlloc: '_Out_ uint64_t *pointer, size_t bytes, uint flags',
  cuMemFreeHost: 'uint64_t pointer',
  cuMemcpyHtoD_v2: 'uint64_t to, void *from, size_t bytes',
  cuMemcpyDtoH_v2: 'void *to, uint64_t from, size_t bytes',
  cuMemcpyHtoDAsync_v2: 'uint64_t to, uint64_t from, size_t bytes, uint64_t stream',
  cuMemcpyDtoHAsync_v2: 'uint64_t to, uint64_t from, size_t bytes, uint64_t stream',
  cuMemcpyDtoDAsync_v2: 'uint64_t to, uint64_t from, size_t bytes, uint64_t stream',
  cuMemsetD8_v2: 'uint64_t to, uint8_t value, size_t bytes',
  cuMemsetD8Async: 'uint64_t to, uint8_t value, size_t bytes, uint64_t stream',
  cuModuleLoadData: '_Out_ uint64_t *module, void *image',
  cuModuleUnload: 'uint64_t module',
  cuModuleGetFunction: '_Out_ uint64_t *function, uint64_t module, str name',
  cuFuncSetAttribute: 'uint64_t function, int attribute, int value',
  cuLaunchKernel:
    'uint64_t function, uint gx, uint gy, uint gz, uint bx, uint by, uint bz, uint shared, uint64_t stream, void *params, void *extra',
  cuLaunchKernelEx: 'void *config, uint64_t function, void *params, void *extra',
  cuStreamCreate: '_Out_ uint64_t *stream, uint flags',
  cuStreamSynchronize: 'uint64_t stream',
  cuStreamWaitEvent: 'uint64_t stream, uint64_t event, uint flags',
  cuEventCreate: '_Out_ uint64_t *event, uint flags',
  cuEventRecord: 'uint64_t event, uint64_t stream',
  cuEventSynchronize: 'uint64_t event',
  cuEventElapsedTime: '_Out_ float *milliseconds, uint64_t start, uint64_t end',
  cuStreamBeginCapture_v2: 'uint64_t stream, int mode',
  cuStreamEndCapture: 'uint64_t stream, _Out_ uint64_t *graph',
  cuGraphInstantiateWithFlags: '_Out_ uint64_t *executable, uint64_t graph, uint64_t flags',
  cuGraphLaunch: 'uint64_t executable, uint64_t stream',
  cuGraphExecDestroy: 'uint64_t executable',
  cuGraphDestroy: 'uint64_t graph',
  cuGetErrorName: 'int error, _Out_ const char **text',
  cuGetErrorString: 'int error, _Out_ const char **text',
} as const;
type Name = keyof typeof SIGNATURES;

export interface DeviceInfo {
  readonly name: string;
  readonly multiprocessors: number;
  /** such as 90 */
  readonly capability: number;
  /** dynamic shared memory that one block can have */
  readonly sharedBytes: number;
  readonly driver: number;
  /** kernels that wait for the one in front may begin early, also in captured graphs: CUDA 12.3 and compute capability 9.0 */
  readonly overlaps: boolean;
}

/** A kernel's launch: everything but where its arguments point is known before the first step. */
export interface Launch {
  readonly label: string;
  readonly function: Handle;
  readonly grid: readonly [number, number, number];
  readonly block: number;
  readonly shared: number;
  /** it follows a kernel, waits for it by itself and may begin before it has ended */
  readonly early?: boolean;
  /** native array of pointers to the arguments */
  readonly params: Buffer;
  /** what `params` points into */
  readonly values: Buffer;
}

export class Driver {
  private readonly calls: Record<Name, Call>;
  private readonly context: Handle;
  readonly info: DeviceInfo;

  constructor(path: string, ordinal: number) {
    const library: LibraryHandle = loadLibrary(path);
    this.calls = Object.fromEntries(
      Object.entries(SIGNATURES).map(([name, args]) => [name, library.func(`int ${name}(${args})`)]),
    ) as unknown as Record<Name, Call>;
    this.do('cuInit', 0);
    const count = this.get('cuDeviceGetCount');
    if (ordinal >= count) throw new CudaError(`device ${ordinal}: this machine has ${count} CUDA devices.`);
    const device = this.get('cuDeviceGet', ordinal);
    const attribute = (which: keyof typeof ATTRIBUTE) => this.get('cuDeviceGetAttribute', ATTRIBUTE[which], device);
    const name = Buffer.alloc(256);
    this.do('cuDeviceGetName', name, name.length, device);
    this.info = {
      name: name.toString('utf8').replace(/\0.*$/s, ''),
      multiprocessors: attribute('multiprocessors'),
      capability: attribute('major') * 10 + attribute('minor'),
      sharedBytes: attribute('sharedOptin'),
      driver: this.get('cuDriverGetVersion'),
      overlaps: attribute('major') >= 9 && this.get('cuDriverGetVersion') >= 12030,
    };
    this.context = this.get('cuDevicePrimaryCtxRetain', device);
    this.do('cuCtxSetCurrent', this.context);
  }

  private check(result: number, name: Name, args: readonly unknown[], what?: string): void {
    if (result === 0) return;
    const text = [null];
    const title = this.calls.cuGetErrorName(result, text) === 0 ? String(text[0]) : `error ${result}`;
    const meaning = this.calls.cuGetErrorString(result, text) === 0 ? String(text[0]) : 'unknown';
    const shown = args.filter((arg) => typeof arg === 'number' || typeof arg === 'string').join(', ');
    throw new CudaError(`${name}(${shown})${what ? ` of ${what}` : ''}: ${title}, ${meaning}.`);
  }

  /** Calls and checks. */
  do(name: Name, ...args: unknown[]): void {
    this.check(this.calls[name](...args), name, args);
  }

  /** Calls a function whose first parameter is its one result. */
  get(name: Name, ...args: unknown[]): number {
    const out: (number | bigint | null)[] = [null];
    this.check(this.calls[name](out, ...args), name, args);
    return Number(out[0]);
  }

  memory(): { free: number; total: number } {
    const [free, total]: [bigint[], bigint[]] = [[0n], [0n]];
    this.do('cuMemGetInfo_v2', free, total);
    return { free: Number(free[0]), total: Number(total[0]) };
  }

  /** Device memory; what does not fit is an error with the numbers. */
  allocate(bytes: number, what: string): Pointer {
    const out: bigint[] = [0n];
    const result = this.calls.cuMemAlloc_v2(out, Math.max(bytes, 256));
    const OUT_OF_MEMORY = 2;
    if (result === OUT_OF_MEMORY) {
      const gib = (n: number) => `${(n / 2 ** 30).toFixed(2)} GiB`;
      const { free, total } = this.memory();
      throw new CudaError(
        `${what} needs ${gib(bytes)} of device memory; ${gib(free)} of ${gib(total)} are free on ${this.info.name}. ` +
          'Lower train.batch_tokens, set train.recompute: true, or free the card.',
      );
    }
    this.check(result, 'cuMemAlloc_v2', [bytes], what);
    return Number(out[0]);
  }

  free(pointer: Pointer): void {
    this.do('cuMemFree_v2', pointer);
  }

  /** Page-locked host memory, which copies run from and to at full speed. */
  pinned(bytes: number): { address: Pointer; view: Buffer } {
    const address = this.get('cuMemHostAlloc', Math.max(bytes, 64), 0);
    return { address, view: viewOf(address, Math.max(bytes, 64)) };
  }

  upload(to: Pointer, data: NodeJS.ArrayBufferView): void {
    if (data.byteLength > 0) this.do('cuMemcpyHtoD_v2', to, data, data.byteLength);
  }

  /** Zeros, before anything that is called later. */
  clear(pointer: Pointer, bytes: number): void {
    if (bytes === 0) return;
    this.do('cuMemsetD8_v2', pointer, 0, bytes);
    this.synchronize(0, 'zeros');
  }

  download(data: NodeJS.ArrayBufferView, from: Pointer): void {
    if (data.byteLength > 0) this.do('cuMemcpyDtoH_v2', data, from, data.byteLength);
  }

  createStream(): Handle {
    return this.get('cuStreamCreate', NON_BLOCKING);
  }

  createEvent(): Handle {
    return this.get('cuEventCreate', 0);
  }

  milliseconds(start: Handle, end: Handle): number {
    return this.get('cuEventElapsedTime', start, end);
  }

  /** Resolves when the event has passed, without blocking JavaScript. */
  passed(event: Handle, what: string): Promise<void> {
    const wait = (this.calls.cuEventSynchronize as unknown as { async: (...args: unknown[]) => void }).async;
    return new Promise((resolve, reject) => {
      wait(event, (error: Error | null, result: number) => {
        try {
          if (error) throw error;
          this.check(result, 'cuEventSynchronize', [], what);
          resolve();
        } catch (fault) {
          reject(fault as Error);
        }
      });
    });
  }

  synchronize(stream: Handle, what: string): void {
    this.check(this.calls.cuStreamSynchronize(stream), 'cuStreamSynchronize', [], what);
  }

  /** Loads a compiled image and gives its functions. */
  loadModule(image: Buffer): Handle {
    return this.get('cuModuleLoadData', image);
  }

  /** dynamic shared memory allowed so far; asking for less would take the rest away */
  private readonly granted = new Map<Handle, number>();

  /** `shared` is allowed whatever the kernel declares itself, for both count towards the 48 KiB that need no leave. */
  function(module: Handle, name: string, shared: number): Handle {
    const found = this.get('cuModuleGetFunction', module, name);
    if (shared > (this.granted.get(found) ?? 0)) {
      this.do('cuFuncSetAttribute', found, MAX_DYNAMIC_SHARED, shared);
      this.granted.set(found, shared);
    }
    return found;
  }

  launch({ label, function: f, grid, block, shared, params, early }: Launch, stream: Handle): void {
    const result = early
      ? this.calls.cuLaunchKernelEx(earlyLaunch(grid, block, shared, stream), f, params, null)
      : this.calls.cuLaunchKernel(f, ...grid, block, 1, 1, shared, stream, params, null);
    this.check(result, 'cuLaunchKernel', [`grid ${grid.join('×')}`, `block ${block}`, `shared ${shared}`], label);
  }

  /** Records what `work` puts on the stream as one graph, ready to launch. */
  capture(stream: Handle, work: () => void): Handle {
    const RELAXED = 2;
    this.do('cuStreamBeginCapture_v2', stream, RELAXED);
    const end = (): Handle => {
      const out: bigint[] = [0n];
      this.do('cuStreamEndCapture', stream, out);
      return Number(out[0]);
    };
    try {
      work();
    } catch (error) {
      // The capture must end, whatever broke it.
      const graph: bigint[] = [0n];
      this.calls.cuStreamEndCapture(stream, graph);
      throw error;
    }
    const graph = end();
    const executable = this.get('cuGraphInstantiateWithFlags', graph, 0);
    this.do('cuGraphDestroy', graph);
    return executable;
  }
}

/** CUlaunchConfig with the one attribute that lets a kernel begin before the one in front of it in the stream has ended. */
function earlyLaunch(grid: Launch['grid'], block: number, shared: number, stream: Handle): Buffer {
  const PROGRAMMATIC_STREAM_SERIALIZATION = 6;
  // The attribute (72 bytes) stands behind the configuration (56 bytes), which points to it; a buffer of its own.
  const bytes = Buffer.from(new ArrayBuffer(128));
  [...grid, block, 1, 1, shared].forEach((size, n) => {
    bytes.writeUInt32LE(size, 4 * n);
  });
  bytes.writeBigUInt64LE(BigInt(stream), 32);
  bytes.writeBigUInt64LE(BigInt(addressOf(bytes) + 56), 40);
  bytes.writeUInt32LE(1, 48);
  bytes.writeInt32LE(PROGRAMMATIC_STREAM_SERIALIZATION, 56);
  bytes.writeInt32LE(1, 64);
  return bytes;
}

/** A kernel's argument: a pointer or 64-bit size in `p`, a 32-bit integer in `i`, a float in `f`, a struct's bytes in `s`. */
export type Argument =
  | { readonly p: number }
  | { readonly i: number }
  | { readonly f: number }
  | { readonly s: Buffer };

/** A struct of pointers, then 32-bit integers. */
export function structOf(pointers: readonly Pointer[], integers: readonly number[]): Argument {
  const bytes = Buffer.alloc(8 * pointers.length + 8 * Math.ceil(integers.length / 2));
  pointers.forEach((pointer, n) => {
    bytes.writeBigUInt64LE(BigInt(pointer), 8 * n);
  });
  integers.forEach((value, n) => {
    bytes.writeInt32LE(value, 8 * pointers.length + 4 * n);
  });
  return { s: bytes };
}

/** Packs arguments each on a boundary of 8 bytes, with the pointers to them that a launch takes. */
export function packArguments(args: readonly Argument[]): { params: Buffer; values: Buffer } {
  const sizes = args.map((arg) => ('s' in arg ? Math.ceil(arg.s.length / 8) * 8 : 8));
  // Buffers of their own: slices of Node's shared pool would move with nothing to hold them.
  const values = Buffer.from(
    new ArrayBuffer(
      Math.max(
        8,
        sizes.reduce((sum, size) => sum + size, 0),
      ),
    ),
  );
  const params = Buffer.from(new ArrayBuffer(8 * Math.max(1, args.length)));
  const base = addressOf(values);
  let at = 0;
  args.forEach((arg, n) => {
    if ('p' in arg) values.writeBigUInt64LE(BigInt(arg.p), at);
    else if ('i' in arg) values.writeInt32LE(arg.i, at);
    else if ('f' in arg) values.writeFloatLE(arg.f, at);
    else arg.s.copy(values, at);
    params.writeBigUInt64LE(BigInt(base + at), 8 * n);
    at += sizes[n]!;
  });
  return { params, values };
}
