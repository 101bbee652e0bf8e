// Matrix products of the 2B training step on this card: time and rate of the algorithm that measuring chose. Last line: JSON.
import { Device } from '../src/backends/cuda/device.ts';
import { describe, type MatmulShape, type MatmulType } from '../src/backends/cuda/ffi/cublaslt.ts';

const device = new Device({});
const { driver, blas, stream } = device;
const results: Record<string, { ms: number; tflops: number }> = {};

function time(m: number, n: number, k: number, more: Partial<MatmulShape> = {}): void {
  const shape: MatmulShape = {
    ...{ m, n, k, batch: 1, transA: false, transB: true, type: 'bf16', outType: 'bf16' },
    ...{ lda: k, ldb: k, ldc: n, ldd: n, strideA: 0, strideB: 0, strideD: 0, bias: false, accumulate: false },
    ...more,
  };
  const product = blas.prepare(shape);
  const bytes = (rows: number, ld: number, type: MatmulType) => rows * ld * (type === 'f32' ? 4 : 2);
  const [a, b, d] = [
    driver.allocate(bytes(shape.transA ? k : m, shape.lda, shape.type), 'a'),
    driver.allocate(bytes(shape.transB ? n : k, shape.ldb, shape.type), 'b'),
    driver.allocate(bytes(m, shape.ldd, shape.outType), 'd'),
  ];
  const [start, end] = [driver.createEvent(), driver.createEvent()];
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    driver.do('cuEventRecord', start, stream);
    blas.enqueue(product, { a, b, c: d, d, bias: b }, 1, shape.accumulate ? 1 : 0);
    driver.do('cuEventRecord', end, stream);
    driver.synchronize(stream, 'a product');
    times.push(driver.milliseconds(start, end));
  }
  for (const pointer of [a, b, d]) driver.free(pointer);
  const ms = times.sort((x, y) => x - y)[6]!;
  results[describe(shape)] = { ms, tflops: (2 * m * n * k) / ms / 1e9 };
  console.log(describe(shape), ms.toFixed(3), 'ms', ((2 * m * n * k) / ms / 1e9).toFixed(0), 'TFLOP/s');
}

const T = 12288;
for (const k of [1176, 1184, 1216, 1280]) time(18432, 1280, k);
for (const outType of ['f32', 'bf16'] as const)
  for (const m of [512, 1024, 2048, 4096]) time(m, 151936, 1536, { outType });
for (const m of [512, 1024, 2048]) time(m, 1536, 151936, { transB: false, ldb: 1536 });
time(T, 8960, 1536);
time(T, 8960, 1600);
time(T, 8960, 1664);
time(T, 8960, 64, { accumulate: true });
time(T, 1536, 8960, { accumulate: true });
time(T, 1536, 9024, { accumulate: true });
time(T, 17920, 1536);
time(T, 2048, 1536);
time(T, 64, 8960, { transB: false, ldb: 64 });
time(8960, 64, T, { transA: true, transB: false, lda: 8960, ldb: 64, outType: 'f32' });
time(T, 1600, 8960, { transB: false, ldb: 1600 });
device.blas.save();
console.log(JSON.stringify({ bench: 'cuda_products', results }));
process.exit(0);
