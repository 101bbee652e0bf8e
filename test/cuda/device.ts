// A thin driver for the tests of kernels: memory, NVRTC, launches and graphs over one library (the emulator's, or the
// real ones on a machine with a GPU), with every status checked. The backend has its own; this one knows no graph.
import { readFileSync } from 'node:fs';
import koffi from 'koffi';

const prelude = readFileSync(new URL('../../src/backends/cuda/kernels/prelude.cuh', import.meta.url), 'utf8');

/** A kernel's argument: a device address, or a scalar by its type. */
export type Argument = bigint | { readonly i32: number } | { readonly f32: number };
export type Dims = readonly [number, number?, number?];
type Handle = unknown;
type Bytes = ArrayBufferView;

export interface Launch {
  readonly grid: Dims;
  readonly block: Dims;
  readonly args: readonly Argument[];
  readonly shared?: number;
}

/** @param nvrtcLibrary where it is another library than the driver's: the emulator has all in one */
export function openDevice(driverLibrary: string, nvrtcLibrary = driverLibrary) {
  const cuda = koffi.load(driverLibrary);
  const nvrtc = koffi.load(nvrtcLibrary);

  const message = cuda.func('int cuGetErrorString(int, _Out_ const char **)');
  const why = (status: number): string => {
    const text: [string | null] = [null];
    message(status, text);
    return text[0] ?? 'unknown error';
  };
  /** A call of the driver that must succeed. */
  const bind = (signature: string) => {
    const call = cuda.func(signature);
    return (...args: unknown[]): void => {
      const status = call(...args) as number;
      if (status !== 0) throw new Error(`${signature.match(/cu\w+/)?.[0]}: ${status}, ${why(status)}`);
    };
  };
  const bindRtc = (signature: string) => {
    const call = nvrtc.func(signature);
    return (...args: unknown[]): number => call(...args) as number;
  };
  /** The handle or number that a call writes to its first parameter. */
  const made = <T>(call: (...args: unknown[]) => unknown, ...args: unknown[]): T => {
    const out: [T | null] = [null];
    call(out, ...args);
    return out[0] as T;
  };

  const cuInit = bind('int cuInit(uint)');
  const retain = bind('int cuDevicePrimaryCtxRetain(_Out_ void **, int)');
  const setCurrent = bind('int cuCtxSetCurrent(void *)');
  const memAlloc = bind('int cuMemAlloc_v2(_Out_ uint64_t *, size_t)');
  const toDevice = bind('int cuMemcpyHtoD_v2(uint64_t, void *, size_t)');
  const toHost = bind('int cuMemcpyDtoH_v2(void *, uint64_t, size_t)');
  const moduleLoad = bind('int cuModuleLoadData(_Out_ void **, void *)');
  const moduleFunction = bind('int cuModuleGetFunction(_Out_ void **, void *, str)');
  const setAttribute = bind('int cuFuncSetAttribute(void *, int, int)');
  const launchKernel = bind(
    'int cuLaunchKernel(void *, uint, uint, uint, uint, uint, uint, uint, void *, void *, void *)',
  );
  const streamCreate = bind('int cuStreamCreate(_Out_ void **, uint)');
  const streamSynchronize = bind('int cuStreamSynchronize(void *)');
  const release = bind('int cuDevicePrimaryCtxRelease_v2(int)');
  const beginCapture = bind('int cuStreamBeginCapture_v2(void *, int)');
  const endCapture = bind('int cuStreamEndCapture(void *, _Out_ void **)');
  const instantiate = bind('int cuGraphInstantiateWithFlags(_Out_ void **, void *, uint64_t)');
  const graphLaunch = bind('int cuGraphLaunch(void *, void *)');
  const createProgram = bindRtc('int nvrtcCreateProgram(_Out_ void **, str, str, int, void *, void *)');
  const compileProgram = bindRtc('int nvrtcCompileProgram(void *, int, str *)');
  const logSize = bindRtc('int nvrtcGetProgramLogSize(void *, _Out_ size_t *)');
  const programLog = bindRtc('int nvrtcGetProgramLog(void *, void *)');
  const cubinSize = bindRtc('int nvrtcGetCUBINSize(void *, _Out_ size_t *)');
  const cubinOf = bindRtc('int nvrtcGetCUBIN(void *, void *)');

  cuInit(0);
  setCurrent(made(retain, 0));
  const stream = made<Handle>(streamCreate, 1);

  /** The cubin of a kernel source behind the prelude; throws the compiler's log. */
  function compile(source: string, macros: readonly string[] = []): Buffer {
    const program = made<Handle>(createProgram, `${prelude}\n${source}`, 'kernel.cu', 0, null, null);
    const options = ['--gpu-architecture=sm_90a', '--std=c++17', ...macros.map((macro) => `-D${macro}`)];
    if (compileProgram(program, options.length, options) !== 0) {
      const log = Buffer.alloc(Number(made((out) => logSize(program, out))));
      programLog(program, log);
      throw new Error(log.toString());
    }
    const cubin = Buffer.alloc(Number(made((out) => cubinSize(program, out))));
    cubinOf(program, cubin);
    return cubin;
  }

  return {
    /** Device memory with a copy of the array in it. */
    alloc(data: Bytes): bigint {
      const pointer = BigInt(made<number | bigint>(memAlloc, Math.max(1, data.byteLength)));
      toDevice(pointer, data, data.byteLength);
      return pointer;
    },
    /** Device memory of some bytes that nothing has written. */
    reserve: (bytes: number): bigint => BigInt(made<number | bigint>(memAlloc, Math.max(1, bytes))),
    /** Fills the array from device memory, after all work before. */
    read<T extends Bytes>(from: bigint, to: T): T {
      streamSynchronize(stream);
      toHost(to, from, to.byteLength);
      return to;
    },
    kernel(source: string, name: string, macros: readonly string[] = []): Handle {
      return made<Handle>(moduleFunction, made<Handle>(moduleLoad, compile(source, macros)), name);
    },
    launch(kernel: Handle, { grid, block, args, shared = 0 }: Launch): void {
      if (shared > 48 << 10) setAttribute(kernel, 8, shared);
      const values = Buffer.alloc(8 * Math.max(1, args.length));
      const pointers = Buffer.alloc(values.length);
      const base = BigInt(koffi.address(values));
      for (const [i, arg] of args.entries()) {
        if (typeof arg === 'bigint') values.writeBigUInt64LE(arg, 8 * i);
        else if ('i32' in arg) values.writeInt32LE(arg.i32, 8 * i);
        else values.writeFloatLE(arg.f32, 8 * i);
        pointers.writeBigUInt64LE(base + BigInt(8 * i), 8 * i);
      }
      const [gx, gy = 1, gz = 1] = grid;
      const [bx, by = 1, bz = 1] = block;
      launchKernel(kernel, gx, gy, gz, bx, by, bz, shared, stream, pointers, null);
    },
    /** Records the launches of `work`, which do not run, and returns the executable graph. */
    capture(work: () => void): Handle {
      beginCapture(stream, 0);
      work();
      return made<Handle>(
        instantiate,
        made<Handle>((out) => endCapture(stream, out)),
        0n,
      );
    },
    replay: (graph: Handle): void => graphLaunch(graph, stream),
    synchronize: (): void => streamSynchronize(stream),
    close: (): void => release(0),
    stream,
  };
}
