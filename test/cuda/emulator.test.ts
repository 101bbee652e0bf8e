// The CUDA emulator itself: what the kernels' tests stand on. Without g++ these tests are reported as skipped.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BlasLt } from '../../src/backends/cuda/ffi/cublaslt.ts';
import { fromHost, toHost } from '../../src/backends/reference/host.ts';
import { emulatedLibraries, TestDevice, type TestLaunch } from './device.ts';

const libraries = await emulatedLibraries();
const lanes = Array.from({ length: 32 }, (_, i) => i);

describe.skipIf(!libraries)(`emulated CUDA${libraries ? '' : ' (not run: its library cannot be built here)'}`, () => {
  let device: TestDevice;
  beforeAll(() => {
    device = new TestDevice(libraries!);
  });
  const launch = (source: string, name: string, { shared = 0, ...rest }: TestLaunch & { shared?: number }) =>
    device.launch({ source, name, shared }, rest);

  test('a block sums through shared memory and barriers, and blocks add atomically', () => {
    const source = `
extern "C" __global__ void __launch_bounds__(64) block_sum(const float *x, float *sums, int n) {
  extern __shared__ __align__(16) float part[];
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  part[threadIdx.x] = i < n ? x[i] : 0.0f;
  __syncthreads();
  for (int step = blockDim.x / 2; step > 0; step /= 2) {
    if (threadIdx.x < step) part[threadIdx.x] += part[threadIdx.x + step];
    __syncthreads();
  }
  if (threadIdx.x == 0) atomicAdd(sums, part[0]);
}`;
    const x = device.alloc(Float32Array.from({ length: 300 }, (_, i) => i));
    const sums = device.alloc(new Float32Array(1));
    const args = [{ p: x }, { p: sums }, { i: 300 }];
    launch(source, 'block_sum', { grid: [5, 1, 1], block: 64, args, shared: 256 });
    expect(device.read(sums, new Float32Array(1))).toEqual(Float32Array.of((300 * 299) / 2));
  });

  test('warps that end leave the others to their collectives and barriers', () => {
    const source = `
extern "C" __global__ void __launch_bounds__(96) leavers(int *out) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp == 0) return;
  int sum = lane;
  for (int round = 0; round < 3; round++) sum = __shfl_xor_sync(0xffffffffu, sum, 1) + __reduce_add_sync(0xffffffffu, 1);
  if (warp == 2 && lane >= 16) return;
  if (warp == 2) sum += __reduce_add_sync(0x0000ffffu, 1);
  out[(warp - 1) * 32 + lane] = sum;
}`;
    const out = device.alloc(new Int32Array(64).fill(-1));
    launch(source, 'leavers', { grid: [1, 1, 1], block: 96, args: [{ p: out }] });
    // three exchanges with the neighbour, and 32 lanes counted each time
    const exchanged = lanes.map((lane) => (lane ^ 1) + 96);
    const half = exchanged.map((sum, lane) => (lane < 16 ? sum + 16 : -1));
    expect([...device.read(out, new Int32Array(64))]).toEqual([...exchanged, ...half]);
  });

  test('shuffles, votes and reductions of a warp', () => {
    const source = `
extern "C" __global__ void lanes(int *out) {
  const int lane = threadIdx.x;
  out[lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
  out[32 + lane] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
  out[64 + lane] = __shfl_up_sync(0xffffffffu, lane, 2);
  out[96 + lane] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  out[128 + lane] = __reduce_add_sync(0xffffffffu, lane);
  out[160 + lane] = (int)warpSum((float)lane) + (int)warpMax((float)lane);
  if (lane < 16) out[192 + lane] = __shfl_sync(0x0000ffffu, lane * lane, 15);
  else out[192 + lane] = __shfl_sync(0xffff0000u, lane, 20);
}`;
    const out = device.reserve(4 * 224);
    launch(source, 'lanes', { grid: [1, 1, 1], block: 32, args: [{ p: out }] });
    const ballot = lanes.reduce((bits, i) => (i % 3 === 0 ? bits | (1 << i) : bits), 0);
    expect([...device.read(out, new Int32Array(224))]).toEqual([
      ...lanes.map((i) => i ^ 5),
      ...lanes.map((i) => ((i % 8) + 3 >= 8 ? i : i + 3)),
      ...lanes.map((i) => (i < 2 ? i : i - 2)),
      ...lanes.map(() => ballot),
      ...lanes.map(() => 496),
      ...lanes.map(() => 496 + 31),
      ...lanes.map((i) => (i < 16 ? 225 : 20)),
    ]);
  });

  test('a captured graph replays with the arguments it was captured with', () => {
    const source = `
extern "C" __global__ void add(float *x, float by, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] += by;
}`;
    const x = device.alloc(new Float32Array(100));
    const add = (f: number) =>
      launch(source, 'add', { grid: [1, 1, 1], block: 128, args: [{ p: x }, { f }, { i: 100 }] });
    const graph = device.driver.capture(device.stream, () => {
      add(0.5);
      add(2);
    });
    expect(device.read(x, new Float32Array(100))[99]).toBe(0); // nothing ran yet
    for (let i = 0; i < 3; i++) device.driver.do('cuGraphLaunch', graph, device.stream);
    expect(device.read(x, new Float32Array(100))).toEqual(new Float32Array(100).fill(7.5));
  });

  test('work runs as late as it may: only what an event orders is seen by another stream', () => {
    // `raise` is a function of libc too: the kernel is meant.
    const source = 'extern "C" __global__ void raise(float *x) { x[0] += 5; }';
    const { driver, stream } = device;
    const [other, event] = [driver.createStream(), driver.createEvent()];
    const x = device.alloc(Float32Array.of(1));
    const { address, view } = driver.pinned(4);
    const fetched = () => {
      driver.do('cuMemcpyDtoHAsync_v2', address, x, 4, other);
      driver.synchronize(other, 'a test');
      return view.readFloatLE(0);
    };
    launch(source, 'raise', { grid: [1, 1, 1], block: 1, args: [{ p: x }] });
    expect(fetched()).toBe(1);
    driver.do('cuEventRecord', event, stream);
    driver.do('cuStreamWaitEvent', other, event, 0);
    expect(fetched()).toBe(6);
  });

  test('the pieces of the tensor cores multiply: 16×16 by 16×8, plain and through transposed loads', () => {
    const source = `
extern "C" __global__ void multiply(const float *a, const float *b, float *out) {
  __shared__ __align__(16) bf16 sa[16 * 16], sb[16 * 8];
  const int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) sa[i] = fromFloat<bf16>(a[i]);
  for (int i = lane; i < 128; i += 32) sb[i] = fromFloat<bf16>(b[i]);
  __syncwarp();
  unsigned fa[4], fb[2];
  ldmatrix4(fa, &sa[lane % 16 * 16 + lane / 16 * 8]);
  ldmatrix2Transposed(fb, &sb[lane % 16 * 8]);
  float d[4] = {};
  mma16x8x16(d, fa, fb[0], fb[1]);
  for (int i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}`;
    // Small whole numbers: exact in bf16, and so are their sums in float32.
    const a = Float32Array.from({ length: 256 }, (_, i) => ((i * 7) % 11) - 5);
    const b = Float32Array.from({ length: 128 }, (_, i) => ((i * 5) % 13) - 6);
    const out = device.reserve(4 * 128);
    const args = [device.alloc(a), device.alloc(b), out].map((p) => ({ p }));
    launch(source, 'multiply', { grid: [1, 1, 1], block: 32, args });
    const expected = Float32Array.from({ length: 128 }, (_, n) => {
      let sum = 0;
      for (let k = 0; k < 16; k++) sum += a[Math.floor(n / 8) * 16 + k]! * b[k * 8 + (n % 8)]!;
      return sum;
    });
    expect(device.read(out, new Float32Array(128))).toEqual(expected);
  });

  test('conversions round to nearest even and keep what is not finite', () => {
    const source = `
extern "C" __global__ void convert(const float *x, unsigned *brain, unsigned *narrow, int n) {
  const int i = threadIdx.x;
  if (i >= n) return;
  brain[i] = __float_as_uint(toFloat(fromFloat<bf16>(x[i])));
  narrow[i] = __float_as_uint(toFloat(fromFloat<half>(x[i])));
}`;
    const x = Float32Array.of(1.00390625, 1.01171875, -3.15, 65519, 65520, 6e-8, 1e-5, Infinity, NaN, -0);
    const [brain, narrow] = [device.reserve(40), device.reserve(40)];
    const args = [{ p: device.alloc(x) }, { p: brain }, { p: narrow }, { i: x.length }];
    launch(source, 'convert', { grid: [1, 1, 1], block: 32, args });
    expect([...device.read(brain, new Float32Array(10))]).toEqual([
      ...[1, 1.015625, -3.15625, 65536, 65536, 6.007030606269836e-8, 1.0013580322265625e-5, Infinity, NaN, -0],
    ]);
    expect([...device.read(narrow, new Float32Array(10))]).toEqual([
      ...[1.00390625, 1.01171875, -3.150390625, 65504, Infinity, 2 ** -24, 1.0013580322265625e-5],
      ...[Infinity, NaN, -0],
    ]);
  });

  test('cuBLASLt: batched, transposed bf16 product with alpha, beta and a bias', () => {
    const cache = join(mkdtempSync(join(tmpdir(), 'texlens-products-')), 'products.json');
    const blas = new BlasLt(libraries!.cublasLt, device.driver, device.stream, cache, true);
    const [m, n, k, batch] = [3, 2, 4, 2];
    const whole = (length: number, step: number) => Float64Array.from({ length }, (_, i) => ((i * step) % 9) - 4);
    const [a, b, c, bias] = [whole(m * k * batch, 5), whole(n * k * batch, 7), whole(m * n * batch, 4), whole(n, 2)];
    const upload = (data: Float64Array) => device.alloc(toHost({ dtype: 'bf16', shape: [data.length] }, data));
    const d = device.reserve(2 * c.length);
    const product = blas.prepare({
      ...{ m, n, k, batch, transA: false, transB: true, type: 'bf16', outType: 'bf16' },
      ...{ lda: k, ldb: k, ldc: n, ldd: n, strideA: m * k, strideB: n * k, strideD: m * n },
      ...{ bias: true, accumulate: true },
    });
    blas.enqueue(product, { a: upload(a), b: upload(b), c: upload(c), d, bias: upload(bias) }, 2, -1);

    const expected = c.map((old, at) => {
      const [which, i, j] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[(which * m + i) * k + l]! * b[(which * n + j) * k + l]!;
      return 2 * sum - old + bias[j]!;
    });
    const got = fromHost({ dtype: 'bf16', shape: [c.length] }, device.read(d, new Uint16Array(c.length)));
    expect(got).toEqual(expected); // whole numbers below 256: exact in bf16
  });

  describe('a faulty kernel is told, and does not hang', () => {
    // The error of a kernel sticks until the context goes, and all that was allocated with it.
    afterEach(() => {
      koffi.load(libraries!.cuda).func('int cuDevicePrimaryCtxRelease_v2(int device)')(0);
      device = new TestDevice(libraries!);
    });
    const run = (body: string, shared = 0, block = 64): void => {
      const source = `extern "C" __global__ void __launch_bounds__(64) faulty(float *x) { ${body} }`;
      launch(source, 'faulty', { grid: [1, 1, 1], block, args: [{ p: device.reserve(64 * 4) }], shared });
      device.synchronize();
    };

    test.each([
      ['a barrier that some threads skip', 'if (threadIdx.x < 40) __syncthreads();', /24 threads have ended/],
      ['two barriers', 'if (threadIdx.x < 40) __syncthreads();\nelse __syncthreads();', /different barriers/],
      ['a shuffle with a lane that is gone', 'if (threadIdx.x) x[0] = __shfl_sync(~0u, x[0], 1);', /lane that has/],
      ['a write past the end', 'x[threadIdx.x + 1] = 0;', /faulty wrote out of the bounds.*256 bytes/],
      ['a null pointer', '*(volatile float *)(x == 0 ? x : 0) = 1;', /illegal address.*thread \(0,0,0\)/],
      ['a misaligned vector', '*(float4 *)(x + 1) = make_float4(0, 0, 0, 0);', /misaligned address/],
      [
        'a write past shared memory',
        'extern __shared__ float s[]; s[threadIdx.x + 1] = 0; __syncthreads(); x[0] = s[0];',
        /past the end of dynamic shared memory/,
      ],
      [
        'a load of global memory from shared memory',
        'extern __shared__ float s[]; s[threadIdx.x] = 1; __syncthreads(); x[0] = __ldcg(s);',
        /global memory alone.*to shared memory/,
      ],
      [
        'a copy not waited for',
        'extern __shared__ float s[]; if (threadIdx.x < 16) copyAsync16(s + 4 * threadIdx.x, x); copyAsyncCommit();',
        /cp\.async not waited for/,
      ],
    ])('%s', (_, body, expected) => {
      expect(() => run(body, 64 * 4)).toThrow(expected);
    });

    test('more threads than its launch bounds', () => {
      expect(() => run('x[0] = 0;', 0, 96)).toThrow(/96 threads.*64/);
    });

    test('a source that does not compile gives the log', () => {
      expect(() => run('x[0] = nowhere;')).toThrow(/nowhere/);
    });
  });
});
