// cuBLASLt: matrix products with float32 accumulation, the algorithm of each shape chosen by measuring and kept on disk.
// cuBLASLt counts in columns; a row-major product D = A·B is asked for as Dᵀ = Bᵀ·Aᵀ.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { RunError } from '../../../shared/errors.ts';
import type { Driver, Handle, Pointer } from './driver.ts';
import { loadLibrary } from './library.ts';

export type MatmulType = 'f32' | 'bf16' | 'f16';

/** A row-major product: a [batch][M, K] (or [K, M] when transA), b [batch][K, N] (or [N, K] when transB), d [batch][M, N]. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transA: boolean;
  readonly transB: boolean;
  /** of a and b */
  readonly type: MatmulType;
  /** of c and d */
  readonly outType: MatmulType;
  /** elements from one row to the next */
  readonly lda: number;
  readonly ldb: number;
  readonly ldc: number;
  readonly ldd: number;
  readonly batch: number;
  /** elements from one matrix of the batch to the next */
  readonly strideA: number;
  readonly strideB: number;
  readonly strideD: number;
  /** adds bias [N] to every row */
  readonly bias: boolean;
  /** adds c [M, N] */
  readonly accumulate: boolean;
}

export interface MatmulPointers {
  readonly a: Pointer;
  readonly b: Pointer;
  readonly c: Pointer;
  readonly d: Pointer;
  readonly bias: Pointer;
}

const TYPE: Record<MatmulType, number> = { f32: 0, f16: 2, bf16: 14 };
const COMPUTE_32F = 68;
const DESC = { transA: 3, transB: 4, epilogue: 7, biasPointer: 8, biasType: 26 } as const;
const LAYOUT = { batch: 5, stride: 6 } as const;
const PREFERENCE = { workspace: 1, alignments: [5, 6, 7, 8] } as const;
/** Views of rows begin at multiples of this; the arena's own values at multiples of 256. */
const MATMUL_ALIGNMENT = 16;
const EPILOGUE_BIAS = 4;
const ALGORITHM_BYTES = 64;
/** cublasLtMatmulHeuristicResult_t: the algorithm, its workspace, state, waves, four reserved integers. */
const RESULT_BYTES = 96;
const CANDIDATES = 12;
const WORKSPACE_BYTES = 64 << 20;

type Call = (...args: unknown[]) => number;

/** One product, set up for its shape: enqueue it with pointers. */
export interface Matmul {
  readonly shape: MatmulShape;
  readonly algorithm: Buffer;
  readonly description: Handle;
  readonly layouts: readonly [a: Handle, b: Handle, c: Handle, d: Handle];
}

export class BlasLt {
  private readonly call: Record<string, Call>;
  private readonly handle: Handle;
  private readonly preference: Handle;
  private readonly chosen: Record<string, string>;
  private readonly workspace: Pointer;
  private unsaved = false;

  /** @param cache file of measured choices; @param measure false takes cuBLASLt's own first choice */
  constructor(
    path: string,
    private readonly driver: Driver,
    private readonly stream: Handle,
    private readonly cache: string,
    private readonly measure: boolean,
  ) {
    const library = loadLibrary(path);
    const f = (signature: string): Call => library.func(signature);
    this.call = {
      create: f('int cublasLtCreate(_Out_ uint64_t *handle)'),
      describe: f('int cublasLtMatmulDescCreate(_Out_ uint64_t *description, int compute, int scale)'),
      setDescription: f(
        'int cublasLtMatmulDescSetAttribute(uint64_t description, int attribute, void *value, size_t bytes)',
      ),
      layout: f(
        'int cublasLtMatrixLayoutCreate(_Out_ uint64_t *layout, int type, uint64_t rows, uint64_t columns, int64_t ld)',
      ),
      setLayout: f('int cublasLtMatrixLayoutSetAttribute(uint64_t layout, int attribute, void *value, size_t bytes)'),
      prefer: f('int cublasLtMatmulPreferenceCreate(_Out_ uint64_t *preference)'),
      setPreference: f(
        'int cublasLtMatmulPreferenceSetAttribute(uint64_t preference, int attribute, void *value, size_t bytes)',
      ),
      heuristic: f(
        'int cublasLtMatmulAlgoGetHeuristic(uint64_t handle, uint64_t description, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t preference, int wanted, void *results, _Out_ int *found)',
      ),
      matmul: f(
        'int cublasLtMatmul(uint64_t handle, uint64_t description, void *alpha, uint64_t a, uint64_t la, uint64_t b, uint64_t lb, void *beta, uint64_t c, uint64_t lc, uint64_t d, uint64_t ld, void *algorithm, uint64_t workspace, size_t bytes, uint64_t stream)',
      ),
    };
    this.handle = this.make('create');
    this.preference = this.make('prefer');
    this.do('setPreference', 'preference', this.preference, PREFERENCE.workspace, u64(WORKSPACE_BYTES), 8);
    for (const attribute of PREFERENCE.alignments)
      this.do('setPreference', 'preference', this.preference, attribute, i32(MATMUL_ALIGNMENT), 4);
    this.workspace = driver.allocate(WORKSPACE_BYTES, 'the workspace of matrix products');
    this.chosen = readJson(cache);
  }

  private do(name: string, what: string, ...args: unknown[]): void {
    const result = this.call[name]!(...args);
    if (result !== 0) throw new RunError(`cuBLASLt: ${name} of ${what} failed with status ${result}.`);
  }

  private make(name: string, ...args: unknown[]): Handle {
    const out: bigint[] = [0n];
    this.do(name, 'a handle', out, ...args);
    return Number(out[0]);
  }

  /** Sets a product up; the first time a shape is met its algorithm is measured. */
  prepare(shape: MatmulShape): Matmul {
    const { m, n, k, transA, transB, type, outType, batch } = shape;
    const description = this.make('describe', COMPUTE_32F, TYPE.f32);
    const set = (attribute: number, value: Buffer) =>
      this.do('setDescription', describe(shape), description, attribute, value, value.length);
    set(DESC.transA, i32(transB ? 1 : 0));
    set(DESC.transB, i32(transA ? 1 : 0));
    if (shape.bias) {
      set(DESC.epilogue, i32(EPILOGUE_BIAS));
      set(DESC.biasType, i32(TYPE[outType]));
      set(DESC.biasPointer, u64(256));
    }
    const layout = (t: MatmulType, rows: number, columns: number, ld: number, stride: number): Handle => {
      const made = this.make('layout', TYPE[t], rows, columns, ld);
      if (batch > 1) {
        this.do('setLayout', describe(shape), made, LAYOUT.batch, i32(batch), 4);
        this.do('setLayout', describe(shape), made, LAYOUT.stride, u64(stride), 8);
      }
      return made;
    };
    const layouts = [
      transB ? layout(type, k, n, shape.ldb, shape.strideB) : layout(type, n, k, shape.ldb, shape.strideB),
      transA ? layout(type, m, k, shape.lda, shape.strideA) : layout(type, k, m, shape.lda, shape.strideA),
      layout(outType, n, m, shape.ldc, shape.strideD),
      layout(outType, n, m, shape.ldd, shape.strideD),
    ] as const;
    const key = describe(shape);
    const known = this.chosen[key];
    const partial = { shape, description, layouts };
    const algorithm = known ? Buffer.from(known, 'hex') : this.choose(partial, key);
    return { ...partial, algorithm };
  }

  private choose(product: Omit<Matmul, 'algorithm'>, key: string): Buffer {
    const results = Buffer.alloc(RESULT_BYTES * CANDIDATES);
    const found: number[] = [0];
    const [a, b, c, d] = product.layouts;
    const wanted = this.measure ? CANDIDATES : 1;
    this.do('heuristic', key, this.handle, product.description, a, b, c, d, this.preference, wanted, results, found);
    const candidates = Array.from({ length: found[0] as number }, (_, i) =>
      Buffer.from(results.subarray(i * RESULT_BYTES, i * RESULT_BYTES + ALGORITHM_BYTES)),
    );
    if (candidates.length === 0) throw new RunError(`cuBLASLt has no algorithm for the product ${key}.`);
    const best = candidates.length === 1 ? candidates[0]! : this.fastest(product, candidates);
    if (this.measure) {
      this.chosen[key] = best.toString('hex');
      this.unsaved = true;
    }
    return best;
  }

  /**
   * The candidate with the least median time, on buffers of its own. They take turns, and multiply numbers whose bits
   * vary: what a card draws, and with it its clock, depends on both, and the ranking on the clock.
   */
  private fastest(product: Omit<Matmul, 'algorithm'>, candidates: readonly Buffer[]): Buffer {
    const { driver, stream } = this;
    const { m, n, k, type, outType, lda, ldb, ldd, batch, strideA, strideB, strideD, transA, transB } = product.shape;
    const bytes = (rows: number, ld: number, stride: number, t: MatmulType) =>
      (rows * ld + (batch - 1) * stride) * (t === 'f32' ? 4 : 2);
    const sizes = [
      bytes(transA ? k : m, lda, strideA, type),
      bytes(transB ? n : k, ldb, strideB, type),
      bytes(m, Math.max(ldd, product.shape.ldc), strideD, outType),
      n * 4,
    ];
    const buffers = sizes.map((size) => driver.allocate(size, 'measuring matrix products'));
    const numbers = randomNumbers();
    for (const [i, size] of sizes.entries()) {
      const to = buffers[i]!;
      driver.upload(to, numbers.subarray(0, size));
      for (let filled = numbers.length; filled < size; filled *= 2)
        driver.do('cuMemcpyDtoDAsync_v2', to + filled, to, Math.min(filled, size - filled), stream);
    }
    const [a, b, d, bias] = buffers as [number, number, number, number];
    const [start, end] = [driver.createEvent(), driver.createEvent()];
    const time = (algorithm: Buffer): number => {
      driver.do('cuEventRecord', start, stream);
      try {
        this.enqueue({ ...product, algorithm }, { a, b, c: d, d, bias }, 1, product.shape.accumulate ? 1 : 0);
      } catch {
        return Number.POSITIVE_INFINITY;
      }
      driver.do('cuEventRecord', end, stream);
      driver.synchronize(stream, 'measuring matrix products');
      return driver.milliseconds(start, end);
    };
    const ROUNDS = 9;
    const times = candidates.map((): number[] => []);
    for (let round = 0; round <= ROUNDS; round++)
      for (const [i, algorithm] of candidates.entries()) {
        const taken = time(algorithm);
        // The first call loads the kernel.
        if (round > 0) times[i]!.push(taken);
      }
    for (const pointer of buffers) driver.free(pointer);
    const medians = times.map((of) => of.sort((x, y) => x - y)[ROUNDS >> 1]!);
    return candidates[medians.indexOf(Math.min(...medians))]!;
  }

  /** d = alpha · a·b (+ bias) + beta · c on the stream. */
  enqueue(product: Matmul, pointers: MatmulPointers, alpha: number, beta: number): void {
    const { description, layouts, algorithm, shape } = product;
    if (shape.bias) this.do('setDescription', describe(shape), description, DESC.biasPointer, u64(pointers.bias), 8);
    const [a, b, c, d] = layouts;
    this.do(
      'matmul',
      describe(shape),
      ...[this.handle, description, f32(alpha), pointers.b, a, pointers.a, b, f32(beta), pointers.c, c, pointers.d, d],
      ...[algorithm, this.workspace, WORKSPACE_BYTES, this.stream],
    );
  }

  /** Writes new measurements to disk; a folder that cannot be written costs time, no result. */
  save(): void {
    if (!this.unsaved) return;
    this.unsaved = false;
    try {
      mkdirSync(dirname(this.cache), { recursive: true });
      const temporary = `${this.cache}.${process.pid}.tmp`;
      writeFileSync(temporary, JSON.stringify({ ...readJson(this.cache), ...this.chosen }));
      renameSync(temporary, this.cache);
    } catch {
      // Measured again next time.
    }
  }
}

const i32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeInt32LE(value);
  return out;
};
const u64 = (value: number): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
};
const f32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return out;
};

/** 4 MiB of numbers between 0.06 and 1, of either sign, as bfloat16 and as the upper halves of float32. */
function randomNumbers(): Buffer {
  const out = new Uint16Array(2 << 20);
  for (let i = 0, state = 1; i < out.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = ((state >>> 31) << 15) | (0x3d80 + ((state >>> 16) & 0x1ff));
  }
  return Buffer.from(out.buffer);
}

/** A shape as one readable word: the key of its algorithm and its name in errors. */
export function describe(s: MatmulShape): string {
  const letters = `${s.transA ? 't' : 'n'}${s.transB ? 't' : 'n'}`;
  const strides = s.batch > 1 ? `x${s.batch}(${s.strideA},${s.strideB},${s.strideD})` : '';
  const extras = `${s.bias ? '+bias' : ''}${s.accumulate ? '+c' : ''}`;
  return `${s.m}x${s.n}x${s.k}${letters}${strides}:${s.type}>${s.outType}:${s.lda},${s.ldb},${s.ldc},${s.ldd}${extras}`;
}

function readJson(file: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  } catch {
    return {};
  }
}
