// Products in 8 bits, against sums in float64, and where they are left alone.
import { describe, expect, test } from 'vitest';
import { Graph, type Value } from '../../graph/graph.ts';
import { type Shape, sizeOf } from '../../graph/types.ts';
import { add } from '../../ops/add.ts';
import { gatherRows } from '../../ops/gather_rows.ts';
import { matmul } from '../../ops/matmul.ts';
import { Random } from '../../shared/random.ts';
import { createOnnxBackend } from './index.ts';

const F32 = (shape: Shape) => ({ dtype: 'f32', shape }) as const;
const random = Random.from(1);
const floats = (shape: Shape) => Float32Array.from({ length: sizeOf(shape) }, () => random.normal());
const largest = (data: Float32Array): number => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A frozen program of a fresh backend that has these states. */
async function build(int8: boolean, states: Record<string, [Shape, Float32Array]>, trace: (graph: Graph) => Value) {
  const backend = await createOnnxBackend({ threads: 2, int8 });
  for (const [name, [shape, data]] of Object.entries(states)) backend.setState(name, F32(shape), data);
  const graph = new Graph(backend.decomposed);
  graph.output('y', trace(graph));
  return { backend, program: await backend.compile(graph, { frozen: () => true, often: true }) };
}

/** Σ x·w of row r and column c in float64, and how far rounding both by half a step may bring it off. */
function bounded(x: Float32Array, w: Float32Array, k: number, r: number, c: number) {
  const [row, column] = [x.subarray(r * k, (r + 1) * k), w.subarray(c * k, (c + 1) * k)];
  const [xHalf, wHalf] = [largest(row) / 127 / 2, largest(column) / 64 / 2];
  let [sum, bound] = [0, 0];
  for (let i = 0; i < k; i++) {
    const [a, b] = [row[i]!, column[i]!];
    sum += a * b;
    bound += Math.abs(a) * wHalf + Math.abs(b) * xHalf + xHalf * wHalf;
  }
  // Scales and the result are rounded to float32; where a value lies between two steps, its rounding may fall either way.
  return { sum, bound: bound * (1 + 1e-5) };
}

describe('a product', () => {
  test.each([
    [1, 64, 5],
    [3, 384, 130],
    [33, 1024, 64],
  ])('%i × %i by %i is within what its bits allow', async (m, k, n) => {
    const [x, w] = [floats([m, k]), floats([n, k])];
    // Rows of very different sizes, one of them nothing at all, keep their own precision.
    for (let r = 0; r < m; r++) for (let i = 0; i < k; i++) x[r * k + i]! *= 10 ** (r % 7);
    if (m > 1) x.fill(0, k, 2 * k);
    w.fill(0, k, 2 * k);
    const { program } = await build(true, { w: [[n, k], w] }, (g) =>
      matmul(g.input('x', [m, k], 'f32'), g.state('w', [n, k], 'f32'), { transB: true }),
    );
    const y = (await program.run({ x })).y as Float32Array;
    let [worst, total, size] = [0, 0, 0];
    for (let r = 0; r < m; r++)
      for (let c = 0; c < n; c++) {
        const { sum, bound } = bounded(x, w, k, r, c);
        const error = Math.abs(y[r * n + c]! - sum);
        worst = Math.max(worst, bound > 0 ? error / bound : error);
        const scale = largest(x.subarray(r * k, (r + 1) * k)) || 1;
        total += (error / scale) ** 2;
        size += (sum / scale) ** 2;
      }
    expect(worst).toBeLessThan(1);
    // Half a step at most, so 1/√12 of one on average, of 1/64 and 1/127 of values that are about 3 times their mean size.
    expect(Math.sqrt(total / size)).toBeLessThan(0.03);
    // It is computed in 8 bits, for float32 would be exact to 1e-6.
    expect(Math.sqrt(total / size)).toBeGreaterThan(1e-4);
    await program.dispose();
  });

  test('of the largest values does not overflow', async () => {
    const k = 1024;
    const { program } = await build(true, { w: [[2, k], new Float32Array(2 * k).fill(-1)] }, (g) =>
      matmul(g.input('x', [1, k], 'f32'), g.state('w', [2, k], 'f32'), { transB: true }),
    );
    const { y } = await program.run({ x: new Float32Array(k).fill(2) });
    // 127 and 64 stand for the largest exactly; the scales are rounded to float32
    for (const value of y!) expect(value).toBeCloseTo(-2 * k, 2);
    await program.dispose();
  });
});

/** Two layers of one input with bias and residual, a weight that is also gathered from, and LoRA's skinny terms. */
function layers(g: Graph): Value {
  const [k, r] = [96, 8];
  const x = g.input('x', [4, k], 'f32');
  const layer = (input: Value, name: string) => {
    const plain = add(
      matmul(input, g.state(name, [k, k], 'f32'), { transB: true }),
      g.state(`${name}.bias`, [k], 'f32'),
    );
    const inner = matmul(input, g.state(`${name}.A`, [r, k], 'f32'), { transB: true });
    return add(plain, matmul(inner, g.state(`${name}.B`, [k, r], 'f32'), { transB: true }));
  };
  const words = gatherRows(g.state('first', [k, k], 'f32'), g.input('ids', [4], 'i32'));
  return add(add(x, layer(x, 'first')), add(words, layer(x, 'second')));
}
const states = Object.fromEntries(
  ['first', 'second'].flatMap((name): [string, [Shape, Float32Array]][] => [
    [name, [[96, 96], floats([96, 96])]],
    [`${name}.bias`, [[96], floats([96])]],
    [`${name}.A`, [[8, 96], floats([8, 96])]],
    [`${name}.B`, [[96, 8], floats([96, 8])]],
  ]),
);

test('biases, residuals, LoRA and other reads of a weight stand beside its product', async () => {
  const inputs = { x: floats([4, 96]), ids: Int32Array.of(5, 0, 95, 7) };
  const [plain, int8] = [await build(false, states, layers), await build(true, states, layers)];
  const [truth, y] = [(await plain.program.run(inputs)).y!, (await int8.program.run(inputs)).y!];
  const deviation = (values: number[]) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  const error = deviation(Array.from(y, (value, i) => value - truth[i]!)) / deviation([...truth]);
  // as above
  expect(error).toBeLessThan(0.03);
  expect(error).toBeGreaterThan(1e-4);
});

test('what is not frozen stays in float32, and a changed weight is refused', async () => {
  const { backend, program } = await build(true, states, layers);
  const plain = await build(false, states, layers);
  const inputs = { x: floats([4, 96]), ids: Int32Array.of(1, 2, 3, 4) };
  const graph = new Graph(backend.decomposed);
  graph.output('y', layers(graph));
  const trained = await backend.compile(graph);
  const [y, truth] = [(await trained.run(inputs)).y!, (await plain.program.run(inputs)).y!];
  // sums of 96 products rounded to 6e-8 in another order
  y.forEach((value, i) => {
    expect(Math.abs(value - truth[i]!)).toBeLessThan(1e-3);
  });

  backend.setState('second', F32([96, 96]), new Float32Array(96 * 96));
  await expect(program.run(inputs)).rejects.toThrow("state 'second' has changed since a program was compiled");
  // Compiled anew it has the weight as it is now.
  const again = await backend.compile(graph, { frozen: () => true });
  const changed = await build(true, { ...states, second: [[96, 96], new Float32Array(96 * 96)] }, layers);
  expect((await again.run(inputs)).y).toEqual((await changed.program.run(inputs)).y);
});

test('a model whose copies would fill the memory is refused', async () => {
  const backend = await createOnnxBackend({ int8: true });
  const graph = new Graph(backend.decomposed);
  const x = graph.input('x', [1, 2 ** 14], 'f32');
  graph.output('y', matmul(x, graph.state('w', [2 ** 15, 2 ** 14], 'f32'), { transB: true }));
  await expect(backend.compile(graph, { frozen: () => true })).rejects.toThrow(
    'which take 512 MiB in 8 bits; expected 256 MiB at most: leave the dtype out',
  );
});
