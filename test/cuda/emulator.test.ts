// The CUDA emulator itself: what the kernels' tests stand on. Without g++ these tests are reported as skipped.
import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromHost, toHost } from '../../src/backends/reference/host.ts';
import { openDevice } from './device.ts';
import { buildEmulator } from './emulator/build.ts';

const library = await buildEmulator();
const lanes = Array.from({ length: 32 }, (_, i) => i);

describe.skipIf(!library)(`emulated CUDA${library ? '' : ' (skipped: its library could not be built)'}`, () => {
  let device: ReturnType<typeof openDevice>;
  beforeAll(() => {
    device = openDevice(library!);
  });
  afterAll(() => device.close());

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
    const kernel = device.kernel(source, 'block_sum');
    device.launch(kernel, { grid: [5], block: [64], args: [x, sums, { i32: 300 }], shared: 256 });
    expect(device.read(sums, new Float32Array(1))).toEqual(Float32Array.of((300 * 299) / 2));
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
    device.launch(device.kernel(source, 'lanes'), { grid: [1], block: [32], args: [out] });
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
    const add = device.kernel(source, 'add');
    const x = device.alloc(new Float32Array(100));
    const by = (f32: number) => ({ grid: [1], block: [128], args: [x, { f32 }, { i32: 100 }] }) as const;
    const graph = device.capture(() => {
      device.launch(add, by(0.5));
      device.launch(add, by(2));
    });
    expect(device.read(x, new Float32Array(100))[99]).toBe(0); // nothing ran yet
    for (let i = 0; i < 3; i++) device.replay(graph);
    expect(device.read(x, new Float32Array(100))).toEqual(new Float32Array(100).fill(7.5));
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
    const kernel = device.kernel(source, 'multiply');
    device.launch(kernel, { grid: [1], block: [32], args: [device.alloc(a), device.alloc(b), out] });
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
    const args = [device.alloc(x), brain, narrow, { i32: x.length }];
    device.launch(device.kernel(source, 'convert'), { grid: [1], block: [32], args });
    expect([...device.read(brain, new Float32Array(10))]).toEqual([
      ...[1, 1.015625, -3.15625, 65536, 65536, 6.007030606269836e-8, 1.0013580322265625e-5, Infinity, NaN, -0],
    ]);
    expect([...device.read(narrow, new Float32Array(10))]).toEqual([
      ...[1.00390625, 1.01171875, -3.150390625, 65504, Infinity, 2 ** -24, 1.0013580322265625e-5],
      ...[Infinity, NaN, -0],
    ]);
  });

  test('cuBLASLt: batched, transposed bf16 product with alpha, beta and a bias', () => {
    const [m, n, k, batches] = [3, 2, 4, 2];
    const whole = (length: number, step: number) => Float64Array.from({ length }, (_, i) => ((i * step) % 9) - 4);
    const [a, b, c, bias] = [
      whole(k * m * batches, 5),
      whole(k * n * batches, 7),
      whole(m * n * batches, 4),
      whole(m, 2),
    ];
    const bf16 = (data: Float64Array) => device.alloc(toHost({ dtype: 'bf16', shape: [data.length] }, data));
    const d = device.reserve(2 * c.length);

    const lt = koffi.load(library!);
    const call = (name: string, parameters: string) => {
      const bound = lt.func(`int cublasLt${name}(${parameters})`);
      return (...args: unknown[]) => expect(bound(...args), name).toBe(0);
    };
    const create = (name: string, parameters: string, ...args: unknown[]) => {
      const out = [null];
      call(name, `_Out_ void **${parameters && ', '}${parameters}`)(out, ...args);
      return out[0];
    };
    const descSet = call('MatmulDescSetAttribute', 'void *, int, void *, size_t');
    const layoutSet = call('MatrixLayoutSetAttribute', 'void *, int, void *, size_t');
    const BF16 = 14;
    const desc = create('MatmulDescCreate', 'int, int', 68, 0);
    descSet(desc, 3, Int32Array.of(1), 4); // A transposed
    descSet(desc, 7, Int32Array.of(4), 4); // epilogue: bias
    descSet(desc, 8, BigUint64Array.of(bf16(bias)), 8);
    const layout = (rows: number, cols: number) => {
      const made = create('MatrixLayoutCreate', 'int, uint64_t, uint64_t, int64_t', BF16, rows, cols, rows);
      layoutSet(made, 5, Int32Array.of(batches), 4);
      layoutSet(made, 6, BigInt64Array.of(BigInt(rows * cols)), 8);
      return made;
    };
    const [la, lb, lc] = [layout(k, m), layout(k, n), layout(m, n)];
    const handle = create('Create', '');
    const preference = create('MatmulPreferenceCreate', '');
    const results = Buffer.alloc(96 * 2);
    const count = Int32Array.of(0);
    const many = (length: number) => Array(length).fill('void *').join(', ');
    call(
      'MatmulAlgoGetHeuristic',
      `${many(7)}, int, void *, void *`,
    )(...[handle, desc, la, lb, lc, lc, preference, 2, results, count]);
    expect(count[0]).toBe(2);
    const matmul = call(
      'Matmul',
      'void *, void *, void *, uint64_t, void *, uint64_t, void *, void *, uint64_t, void *, uint64_t, void *, void *, uint64_t, size_t, void *',
    );
    const algo = results.subarray(96, 96 + 64);
    const scalar = (x: number) => Float32Array.of(x);
    matmul(
      handle,
      desc,
      scalar(2),
      bf16(a),
      la,
      bf16(b),
      lb,
      scalar(-1),
      bf16(c),
      lc,
      d,
      lc,
      algo,
      0n,
      0,
      device.stream,
    );

    const expected = c.map((old, at) => {
      const [batch, j, i] = [Math.floor(at / (m * n)), Math.floor(at / m) % n, at % m];
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[(batch * m + i) * k + l]! * b[(batch * n + j) * k + l]!;
      return 2 * sum - old + bias[i]!;
    });
    const got = fromHost({ dtype: 'bf16', shape: [c.length] }, device.read(d, new Uint16Array(c.length)));
    expect(got).toEqual(expected); // whole numbers below 256: exact in bf16
  });

  describe('a faulty kernel is told, and does not hang', () => {
    // The error of a kernel sticks to its context, so each test has its own.
    const run = (body: string, shared = 0): string => {
      const own = openDevice(library!);
      const kernel = own.kernel(`extern "C" __global__ void faulty(float *x) { ${body} }`, 'faulty');
      try {
        own.launch(kernel, { grid: [1], block: [64], args: [own.reserve(64 * 4)], shared });
        own.synchronize();
        return 'no error';
      } catch (error) {
        return (error as Error).message;
      } finally {
        own.close();
      }
    };
    beforeAll(() => device.close());
    afterAll(() => {
      device = openDevice(library!);
    });

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
        'a copy not waited for',
        'extern __shared__ float s[]; if (threadIdx.x < 16) copyAsync16(s + 4 * threadIdx.x, x); copyAsyncCommit();',
        /cp\.async not waited for/,
      ],
    ])('%s', (_, body, expected) => {
      expect(run(body, 64 * 4)).toMatch(expected);
    });

    test('a source that does not compile gives the log', () => {
      expect(() => run('x[0] = nowhere;')).toThrow(/nowhere/);
    });
  });
});
