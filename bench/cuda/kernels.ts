// The kernels of a decoding step by themselves: each is captured many times in a row, over weights and caches of their own
// that together are larger than the card's cache, so that a time holds the launch and the memory as a step has them.
import { cachedAttentionLaunch } from '../../src/backends/cuda/attention.ts';
import type { Device } from '../../src/backends/cuda/device.ts';
import type { MatmulType } from '../../src/backends/cuda/ffi/cublaslt.ts';
import { type Argument, type Pointer, packArguments } from '../../src/backends/cuda/ffi/driver.ts';
import { type Kernel, kernelOf, waiting } from '../../src/backends/cuda/kernels.ts';
import { canStage, enqueueFewRows } from '../../src/backends/cuda/lower/few_rows.ts';
import { lowerings } from '../../src/backends/cuda/lowering.ts';
import type { Enqueuer } from '../../src/backends/cuda/step.ts';
import { type View, wholeView } from '../../src/backends/cuda/view.ts';
import { Graph, type OpDef, type Value } from '../../src/graph/graph.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { greedyChoiceOp } from '../../src/ops/greedy_choice.ts';
import type { OpName } from '../../src/ops/index.ts';
import { sampledChoiceOp } from '../../src/ops/sampled_choice.ts';
import { Random } from '../../src/shared/random.ts';
import { median, round } from '../statistics.ts';

export interface KernelTime {
  /** microseconds a launch, one beginning early where it can, and each after the one before */
  readonly overlapping: number;
  readonly apart: number;
  /** the same product or products by cuBLASLt */
  readonly blas?: number;
  /** of what must be read, at the overlapping time */
  readonly gigabytesPerSecond: number;
}

/** Bytes that do not stay in a cache between two launches of the same weights. */
const COLD = 400e6;

export function kernelTimes(
  device: Device,
  config: Qwen2VLConfig,
  { rows, length, capacity }: { rows: number; length: number; capacity: number },
): Record<string, KernelTime> {
  const { driver, blas, kernels, stream } = device;
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config.text;
  const owned: Pointer[] = [];
  const reserve = (bytes: number): Pointer => {
    const pointer = driver.allocate(bytes, 'a benchmark');
    driver.clear(pointer, bytes);
    owned.push(pointer);
    return pointer;
  };
  const release = () => {
    for (const pointer of owned.splice(0)) driver.free(pointer);
  };
  const enqueuer = (overlap: boolean): Enqueuer => {
    let before = false;
    return {
      ...({} as Enqueuer),
      sharedBytes: driver.info.sharedBytes,
      launch(kernel: Kernel, grid, block, args: readonly Argument[]) {
        const size = typeof grid === 'number' ? ([grid, 1, 1] as const) : grid;
        const early = overlap && before && kernel.waits === true;
        const launch = { label: kernel.name, function: kernels.function(kernel), grid: size, block, early };
        driver.launch({ ...launch, shared: kernel.shared, ...packArguments(args) }, stream);
        before = true;
      },
    };
  };
  /** Microseconds of one of `count` launches that a graph holds. */
  const time = (count: number, launch: (n: number, run: Enqueuer) => void, overlap: boolean) => {
    const run = enqueuer(overlap);
    launch(0, run); // kernels are compiled and loaded
    driver.synchronize(stream, 'a benchmark');
    const again = enqueuer(overlap);
    const graph = driver.capture(stream, () => {
      for (let n = 0; n < count; n++) launch(n, again);
    });
    const [start, end] = [driver.createEvent(), driver.createEvent()];
    const times = Array.from({ length: 8 }, () => {
      driver.do('cuEventRecord', start, stream);
      driver.do('cuGraphLaunch', graph, stream);
      driver.do('cuEventRecord', end, stream);
      driver.synchronize(stream, 'a benchmark');
      return driver.milliseconds(start, end);
    });
    driver.do('cuGraphExecDestroy', graph);
    return (1000 * median(times.slice(1))) / count;
  };
  const report = (bytes: number, overlapping: number, apart: number, blasTime?: number): KernelTime => ({
    overlapping: round(overlapping, 2),
    apart: round(apart, 2),
    ...(blasTime === undefined ? {} : { blas: round(blasTime, 2) }),
    gigabytesPerSecond: round(bytes / overlapping / 1000, 0),
  });

  function products(
    columns: number[],
    depth: number,
    options: { normed?: boolean; gated?: boolean; out?: MatmulType },
  ) {
    const { normed = false, gated = false, out = 'bf16' } = options;
    const total = columns.reduce((sum, n) => sum + n, 0);
    const bytes = total * depth * 2;
    const count = Math.max(2, Math.min(28, Math.ceil(COLD / bytes)));
    const shape = { type: 'bf16', out, rows, depth, columns, normed: normed && canStage(rows, depth), gated } as const;
    const [x, y, w] = [reserve(rows * depth * 2), reserve(rows * total * 4), reserve(count * bytes)];
    const norm = reserve(depth * 2);
    const weights = (n: number) => {
      let at = 0;
      return columns.map((size) => {
        const place = { w: w + n * bytes + at * depth * 2, bias: 0, c: 0, y: y + at * rows * 4 };
        at += size;
        return place;
      });
    };
    const launch = (n: number, run: Enqueuer) =>
      enqueueFewRows(run, { ...shape, x, alpha: 1, norm, eps: 1e-6, states: true, weights: weights(n) });
    const ours = [true, false].map((overlap) => time(count, launch, overlap)) as [number, number];
    const base = { m: rows, k: depth, batch: 1, transA: false, transB: true, type: 'bf16', outType: out } as const;
    const made = columns.map((n) =>
      blas.prepare({
        ...{ ...base, n, lda: depth, ldb: depth, ldc: n, ldd: n, strideA: 0, strideB: 0, strideD: 0 },
        ...{ bias: false, accumulate: false },
      }),
    );
    const theirs = (n: number) =>
      weights(n).forEach((place, i) => {
        blas.enqueue(made[i]!, { a: x, b: place.w, c: place.y, d: place.y, bias: 0 }, 1, 0);
      });
    const result = report(bytes, ...ours, time(count, theirs, false));
    release();
    return result;
  }

  function attention(): KernelTime {
    const shape = { dtype: 'bf16', batch: rows, heads, kvHeads, width: headDim, capacity, scale: 0.1 } as const;
    const made = cachedAttentionLaunch({ ...shape, turn: true, states: true });
    const bytes = 2 * rows * kvHeads * capacity * headDim * 2;
    const count = Math.max(2, Math.min(28, Math.ceil(COLD / bytes)));
    const [q, small, out] = [1, 1, 1].map(() => reserve(rows * heads * headDim * 2)) as [Pointer, Pointer, Pointer];
    const [caches, partials, arrivals] = [
      reserve(count * bytes),
      reserve(made.partialBytes),
      reserve(4 * made.arrivals),
    ];
    const lengths = reserve(4 * rows);
    driver.upload(lengths, new Int32Array(rows).fill(length));
    const angles = reserve(rows * headDim * 2);
    const kernel = waiting(kernelOf(made.sources, made.kernel, made.macros));
    const launch = (n: number, run: Enqueuer) => {
      const kCache = caches + n * bytes;
      const pointers: Record<string, Pointer> = {
        ...{ q, kNew: small, vNew: small, kCache, vCache: kCache + bytes / 2, lengths, out, partials, arrivals },
        ...{ cosines: angles, sines: angles },
      };
      const args = made.args.map((arg): Argument => {
        if ('tensor' in arg) return { p: pointers[arg.tensor]! };
        return 'i32' in arg ? { i: arg.i32 } : { f: arg.f32 };
      });
      run.launch(kernel, made.grid, made.block[0], args);
    };
    const [overlapping, apart] = [true, false].map((overlap) => time(count, launch, overlap)) as [number, number];
    release();
    return report((bytes / capacity) * length, overlapping, apart);
  }

  /** Choices of tokens from scores that the head has just written, so that a cache may hold them. */
  function choices(): Record<string, KernelTime> {
    const graph = new Graph();
    const given = new Map<Value, Float32Array | Int32Array>();
    const input = (shape: number[], data: Float32Array | Int32Array): Value => {
      const value = graph.input(`${given.size}`, shape, data instanceof Float32Array ? 'f32' : 'i32');
      given.set(value, data);
      return value;
    };
    const random = Random.from(1);
    const data = Float32Array.from({ length: rows * vocabSize }, () => 3 * random.normal());
    const tops = Float32Array.from({ length: rows }, (_, b) =>
      data.subarray(b * vocabSize, (b + 1) * vocabSize).reduce((a, c) => Math.max(a, c)),
    );
    const bytes = data.byteLength;
    const scores = input([rows, vocabSize], data);
    const largest = input([rows], tops);
    const points = input(
      [rows],
      Float32Array.from({ length: rows }, () => random.float()),
    );
    /** One step of the program, whose tables and results are made once. */
    const timed = (op: OpDef, inputs: Value[]): KernelTime => {
      const outputs = graph.apply(op, inputs, {});
      const pointers = new Map<Value, Pointer>();
      for (const value of inputs) {
        pointers.set(value, reserve(given.get(value)!.byteLength));
        driver.upload(pointers.get(value)!, given.get(value)!);
      }
      for (const value of outputs) pointers.set(value, reserve(4 * rows));
      const lower = lowerings[op.name as OpName] as Exclude<(typeof lowerings)[OpName], string>;
      const step = lower({}, { views: inputs.map(wholeView), outputs: [...outputs] });
      const tables = new Map<number, Pointer>();
      const table = ({ length: size }: Buffer): Pointer => {
        const known = tables.get(size) ?? reserve(size);
        tables.set(size, known);
        return known;
      };
      const at = ({ root }: View) => pointers.get(root)!;
      const scratch = reserve(step.scratch);
      const launch = (_n: number, run: Enqueuer) =>
        step.enqueue({ ...run, scratch, table, at, to: (value) => pointers.get(value)! });
      const [overlapping, apart] = [true, false].map((overlap) => time(20, launch, overlap)) as [number, number];
      release();
      return report(bytes, overlapping, apart);
    };
    const sampled = (filters?: { topK: number; topP: number }) => {
      const all = [scores, largest, points, input([rows], new Float32Array(rows).fill(1))];
      if (filters) {
        all.push(input([rows], new Int32Array(rows).fill(filters.topK)));
        all.push(input([rows], new Float32Array(rows).fill(filters.topP)));
      }
      return timed(sampledChoiceOp, all);
    };
    return {
      'greedy choice': timed(greedyChoiceOp, [scores]),
      'sampled choice': sampled(),
      'sampled choice, top-k': sampled({ topK: 50, topP: 1 }),
      'sampled choice, top-p': sampled({ topK: 0, topP: 0.9 }),
      'sampled choice, top-k and top-p': sampled({ topK: 50, topP: 0.9 }),
    };
  }

  return {
    ...choices(),
    'norm, q, k and v': products([heads * headDim, kvHeads * headDim, kvHeads * headDim], hiddenSize, { normed: true }),
    attention: attention(),
    o: products([hiddenSize], heads * headDim, {}),
    'norm, gate, up and SwiGLU': products([intermediateSize, intermediateSize], hiddenSize, {
      ...{ normed: true, gated: true },
    }),
    down: products([hiddenSize], intermediateSize, {}),
    'norm and head': products([vocabSize], hiddenSize, { normed: true, out: 'f32' }),
  };
}
