// The attention kernels against the float64 oracle, on this machine's card or on the emulator; with neither they are
// reported as skipped.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type AttentionShape,
  attentionGradLaunches,
  attentionLaunch,
  attentionSpansLaunch,
  cachedAttentionLaunch,
  canTurn,
  HOPPER,
  type KernelLaunch,
  onTensorCores,
} from '../../src/backends/cuda/attention.ts';
import type { Argument, Pointer } from '../../src/backends/cuda/ffi/driver.ts';
import { kernelOf } from '../../src/backends/cuda/kernels.ts';
import { fromHost, toHost } from '../../src/backends/reference/host.ts';
import { type Data, kernels as oracle } from '../../src/backends/reference/index.ts';
import { roundTo } from '../../src/backends/reference/kernel.ts';
import type { DType, TensorType } from '../../src/graph/types.ts';
import { Random } from '../../src/shared/random.ts';
import { TestDevice, testedLibraries } from './device.ts';

// Errors are parts of the largest value. bf16 keeps 8 bits, so rounding a result moves it by up to 2^-8 = 4e-3 of itself.
// Inputs are exact in bf16; the rounding of probabilities (and of ds) before a product averages out over a row, and adds
// less than half of that again. float32: sums of at most ~200 products at 6e-8 each, and exp of scores up to ~10.
const TOLERANCE = { bf16: { out: 6e-3, grad: 6e-3 }, f32: { out: 2e-6, grad: 2e-6 } } as const;
// lse stays in float32 also with bf16: only the order of its sums and the approximate exp2 (2^-22) differ.
const LSE = 2e-6;

/** The largest difference as a part of the largest expected value, or of 0.1 where all are smaller. */
function errorOf(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const differences = Array.from(expected, (x, i) => Math.abs(x - actual[i]!));
  if (differences.some(Number.isNaN)) return Number.NaN;
  const scale = Array.from(expected, Math.abs).reduce((a, b) => Math.max(a, b), 0.1);
  return differences.reduce((a, b) => Math.max(a, b), 0) / scale;
}

type Pointers = Record<string, Pointer>;

const libraries = await testedLibraries();

describe.skipIf(!libraries)(`attention on CUDA${libraries ? '' : ' (not run: no card and no emulator)'}`, () => {
  let device: TestDevice;
  beforeAll(() => {
    device = new TestDevice(libraries!);
  });

  function run({ sources, macros, kernel, grid, block, shared, args }: KernelLaunch, pointers: Pointers): void {
    const packed = args.map((arg): Argument => {
      if ('i32' in arg) return { i: arg.i32 };
      if ('f32' in arg) return { f: arg.f32 };
      const pointer = pointers[arg.tensor];
      if (pointer === undefined) throw new Error(`${kernel} wants ${arg.tensor}`);
      return { p: pointer };
    });
    device.launch(kernelOf(sources, kernel, macros, shared), { grid, block: block[0], args: packed });
  }

  const type = (dtype: DType, ...shape: number[]): TensorType => ({ dtype, shape });
  const size = ({ shape }: TensorType) => shape.reduce((a, b) => a * b, 1);
  /** Normal values that the type holds exactly. */
  const normal = (of: TensorType, seed: number) => {
    const random = Random.from(seed);
    return Float64Array.from({ length: size(of) }, () => roundTo(of.dtype, random.normal()));
  };
  const upload = (of: TensorType, data: Data) => device.alloc(toHost(of, data));
  const reserve = (of: TensorType) => device.reserve(size(of) * (of.dtype === 'bf16' ? 2 : 4));
  const download = (of: TensorType, from: Pointer) =>
    fromHost(of, device.read(from, toHost(of, new Float64Array(size(of)))));
  /** A tensor [T, …] as a slice of rows of `stride` elements, the rest NaN; the pointer is to its first element. */
  const uploadStrided = (of: TensorType, data: Data, stride: number, offset: number) => {
    const [tokens] = of.shape as [number];
    const inner = size(of) / tokens;
    const wide = new Float64Array(tokens * stride).fill(Number.NaN);
    for (let t = 0; t < tokens; t++) wide.set(data.subarray(t * inner, (t + 1) * inner), t * stride + offset);
    const bytes = of.dtype === 'bf16' ? 2 : 4;
    return upload(type(of.dtype, tokens, stride), wide) + offset * bytes;
  };

  /** Ids of segments of the given lengths, row by row; what is left of a row is padding, id 0. */
  const segmentsOf = (row: number, ...rows: number[][]) =>
    Int32Array.from(
      rows.flatMap((lengths, r) => {
        const ids = lengths.flatMap((length, i) => Array<number>(length).fill(r * 10 + i + 1));
        return [...ids, ...Array<number>(row - ids.length).fill(0)];
      }),
    );

  /** Runs forward and backward of one case on the device and in the oracle. */
  function compare(shape: AttentionShape, segments: Int32Array, strided = false): void {
    const { dtype, tokens, heads, kvHeads, width, row, causal, scale } = shape;
    const query = type(dtype, tokens, heads, width);
    const key = type(dtype, tokens, kvHeads, width);
    const ids = type('i32', tokens);
    const perHead = type('f32', tokens, heads);
    const [q, k, v, dout] = [normal(query, 1), normal(key, 2), normal(key, 3), normal(query, 4)];
    const attrs = { row, causal, scale };
    const inputs = [q, k, v].map((data, i) => ({ type: i ? key : query, data }));
    const [out, lse] = oracle.attention([...inputs, { type: ids, data: segments }], attrs, []) as [Data, Data];

    const fused = (heads + 2 * kvHeads) * width;
    const offsets = [0, heads * width, (heads + kvHeads) * width];
    const pointers: Pointers = {
      segments: upload(ids, segments),
      spans: reserve(type('i32', tokens, 2)),
      dout: upload(query, dout),
      out: reserve(query),
      lse: reserve(perHead),
      delta: reserve(perHead),
      dq: reserve(query),
      dk: reserve(key),
      dv: reserve(key),
    };
    for (const [i, name] of ['q', 'k', 'v'].entries()) {
      const { type: of, data } = inputs[i]!;
      pointers[name] = strided ? uploadStrided(of, data, fused, offsets[i]!) : upload(of, data);
    }
    const launched = strided ? { ...shape, strides: { q: fused, k: fused, v: fused } } : shape;
    const tolerance = dtype === 'bf16' ? TOLERANCE.bf16 : TOLERANCE.f32;

    run(attentionSpansLaunch(launched), pointers);
    run(attentionLaunch(launched), pointers);
    const gotOut = download(query, pointers.out!);
    const gotLse = download(perHead, pointers.lse!);
    expect(errorOf(gotOut, out), 'out').toBeLessThan(tolerance.out);
    expect(errorOf(gotLse, lse), 'lse').toBeLessThan(LSE);

    // The oracle's gradient from the same saved tensors, so that only the backward's own errors are seen.
    const saved = [
      { type: query, data: gotOut },
      { type: perHead, data: gotLse },
    ];
    const all = [{ type: query, data: dout }, ...inputs, { type: ids, data: segments }, ...saved];
    const expected = oracle.attention_grad(all, attrs, []);
    for (const launch of attentionGradLaunches(launched)) run(launch, pointers);
    for (const [i, name] of ['dq', 'dk', 'dv'].entries()) {
      const got = download(i ? key : query, pointers[name]!);
      expect(errorOf(got, expected[i]!), name).toBeLessThan(tolerance.grad);
    }
  }

  const base = { dtype: 'bf16', heads: 1, kvHeads: 1, width: 16, causal: true, scale: 0.25 } as const;
  const cases: [string, AttentionShape, Int32Array][] = [
    ['one token', { ...base, tokens: 1, row: 1 }, Int32Array.of(1)],
    [
      'a row that is no multiple of a tile, segments across tile borders, padding',
      { ...base, tokens: 2 * 150, row: 150 },
      segmentsOf(150, [50, 70, 1, 20], [150]),
    ],
    ['bidirectional', { ...base, tokens: 2 * 150, row: 150, causal: false }, segmentsOf(150, [50, 70, 1, 20], [140])],
    [
      'six query heads of a group, width 128',
      { ...base, tokens: 90, row: 90, heads: 12, kvHeads: 2, width: 128, scale: 128 ** -0.5 },
      segmentsOf(90, [40, 33]),
    ],
    [
      'two query heads of a group, width 64',
      { ...base, tokens: 140, row: 70, heads: 4, kvHeads: 2, width: 64, scale: 0.125 },
      segmentsOf(70, [64, 6], [3, 60]),
    ],
    [
      'three query heads, bidirectional',
      { ...base, tokens: 100, row: 100, heads: 3, kvHeads: 1, width: 32, causal: false },
      segmentsOf(100, [30, 50]),
    ],
    [
      'width 80 in rows of 96 patches, bidirectional',
      { ...base, tokens: 2 * 96, row: 96, heads: 2, kvHeads: 2, width: 80, causal: false, scale: 80 ** -0.5 },
      segmentsOf(96, [96], [40, 50]),
    ],
    ['sharp scores, up to ±40', { ...base, tokens: 100, row: 100, causal: false, scale: 2 }, segmentsOf(100, [75, 20])],
    [
      'ids that come again in a row',
      { ...base, tokens: 130, row: 130 },
      Int32Array.from({ length: 130 }, (_, i) => [1, 2, 1, 3][Math.floor(i / 33)]!),
    ],
  ];

  describe('bf16 on tensor cores', () => {
    test.each(cases)('%s', (_, shape, segments) => {
      expect(onTensorCores(shape)).toBe(true);
      compare(shape, segments);
    });
    test('q, k and v as slices of one fused buffer', () => {
      const shape = { ...base, tokens: 70, row: 70, heads: 4, kvHeads: 2, width: 16 };
      compare(shape, segmentsOf(70, [20, 45]), true);
    });
  });

  describe('simple kernels', () => {
    test.each([true, false])('float32, causal %s: segments, padding, a second row', (causal) => {
      compare({ ...base, dtype: 'f32', tokens: 60, row: 30, causal }, segmentsOf(30, [11, 1, 14], [30]));
    });
    test('float32: one token', () => {
      compare({ ...base, dtype: 'f32', tokens: 1, row: 1 }, Int32Array.of(1));
    });
    test('float32, a width that is no multiple of anything, grouped heads, strided', () => {
      const shape = { ...base, dtype: 'f32', tokens: 24, row: 12, heads: 4, kvHeads: 2, width: 37 } as const;
      compare(shape, segmentsOf(12, [5, 6], [12]), true);
    });
    test('bf16 of a width that tensor cores do not take', () => {
      const shape = { ...base, tokens: 20, row: 20, heads: 2, width: 6 };
      expect(onTensorCores(shape)).toBe(false);
      compare(shape, segmentsOf(20, [9, 8]));
    });
  });

  describe('one decoding step', () => {
    test.each([
      ['bf16, six heads a group, several blocks a sequence', 'bf16', 12, 2, 128, 300, [300, 37, 0, 1]],
      ['bf16, one sequence', 'bf16', 12, 2, 128, 260, [200]],
      ['bf16, sixteen heads a group', 'bf16', 16, 1, 64, 40, [33, 7]],
      ['bf16, width 80', 'bf16', 2, 2, 80, 70, [70]],
      ['float32, odd width', 'f32', 4, 2, 6, 40, [40, 3, 0]],
      ['float32, width 128', 'f32', 4, 1, 128, 40, [39]],
    ] as const)('%s', (_, dtype, heads, kvHeads, width, capacity, lengths) => {
      const batch = lengths.length;
      const shape = { dtype, batch, heads, kvHeads, width, capacity, scale: width ** -0.5 };
      const types = {
        q: type(dtype, batch, heads, width),
        kNew: type(dtype, batch, kvHeads, 1, width),
        vNew: type(dtype, batch, kvHeads, 1, width),
        kCache: type(dtype, batch, kvHeads, capacity, width),
        vCache: type(dtype, batch, kvHeads, capacity, width),
      };
      const inputs = Object.values(types).map((of, i) => ({ type: of, data: normal(of, i + 1) as Data }));
      inputs.push({ type: type('i32', batch), data: Int32Array.from(lengths) });
      const [expected] = oracle.cached_attention(inputs, { scale: shape.scale }, []);
      // What lies beyond a sequence's length is never read into the result.
      const poisoned = inputs.map(({ type: of, data }) => {
        if (of.shape.length < 4 || of.shape[2] === 1) return upload(of, data);
        const row = (i: number) => Math.floor(i / width) % capacity;
        const owner = (i: number) => Math.floor(i / (width * capacity * kvHeads));
        return upload(
          of,
          (data as Float64Array).map((x, i) => (row(i) < lengths[owner(i)]! ? x : Number.NaN)),
        );
      });
      const launch = cachedAttentionLaunch({ ...shape, states: true });
      // Heads share the rows that they read.
      const shared = cachedAttentionLaunch({ ...shape, states: true }, { ...HOPPER, l2Bytes: 0 });
      const pointers: Pointers = {
        ...{ cosines: 0, sines: 0 },
        out: reserve(types.q),
        partials: device.reserve(Math.max(launch.partialBytes, shared.partialBytes)),
        arrivals: device.alloc(new Int32Array(Math.max(launch.arrivals, shared.arrivals))),
      };
      for (const [i, name] of [...Object.keys(types), 'lengths'].entries()) pointers[name] = poisoned[i]!;
      // Twice: the second launch finds the arrivals as the first left them.
      for (const made of [launch, launch, shared, shared]) {
        run(made, pointers);
        const got = download(types.q, pointers.out!);
        // The sums are float32 throughout: with bf16 only the result is rounded, by 2^-8.
        expect(errorOf(got, expected!)).toBeLessThan(dtype === 'bf16' ? 4e-3 : 2e-6);
      }
      if (!canTurn(shape)) return;

      // The same with rotation and the write of the new row.
      const table = type('f32', batch, width / 2);
      const angles = Float64Array.from({ length: size(table) }, (_, i) => 0.7 * i);
      const [cos, sin] = [Math.cos, Math.sin].map((f) => angles.map((angle) => Math.fround(f(angle))) as Data);
      const turned = ([input, data]: [TensorType, Data], count: number) => {
        const flat = { type: type(dtype, batch, count, width), data };
        const tables = [cos!, sin!].map((values) => ({ type: table, data: values }));
        const [made] = oracle.rope([flat, ...tables], { inverse: false }, [flat.type]) as [Data];
        return { type: input, data: made.map((x) => roundTo(dtype, x)) as Data };
      };
      const [q, k] = inputs as [{ type: TensorType; data: Data }, { type: TensorType; data: Data }];
      const fresh = turned([k.type, k.data], kvHeads);
      const [after] = oracle.cached_attention([turned([q.type, q.data], heads), fresh, ...inputs.slice(2)], shape, []);
      Object.assign(pointers, { cosines: upload(table, cos!), sines: upload(table, sin!) });
      run(cachedAttentionLaunch({ ...shape, turn: true }), pointers);
      expect(errorOf(download(types.q, pointers.out!), after!), 'turned').toBeLessThan(dtype === 'bf16' ? 4e-3 : 2e-6);
      const cache = download(types.kCache, pointers.kCache!);
      const rowOf = (data: ArrayLike<number>, at: number) => Array.from({ length: width }, (_, c) => data[at + c]!);
      lengths.forEach((length, b) => {
        for (let kv = 0; kv < kvHeads && length < capacity; kv++) {
          const own = rowOf(fresh.data, (b * kvHeads + kv) * width);
          const row = rowOf(cache, ((b * kvHeads + kv) * capacity + length) * width);
          // float32 rotates with fused products and sums; bf16 may round the other way.
          expect(errorOf(row, own), `row of ${b}`).toBeLessThan(dtype === 'bf16' ? 4e-3 : 1e-6);
        }
      });
    });
  });
});
