// What the CUDA backend rewrites in a program gives what the program says: the same graph on the float64 oracle.
import { describe, expect, test } from 'vitest';
import type { Backend, Tensors } from '../../src/backends/contract.ts';
import { createReferenceBackend } from '../../src/backends/reference/index.ts';
import { Graph, type Value } from '../../src/graph/graph.ts';
import { add } from '../../src/ops/add.ts';
import { attention } from '../../src/ops/attention.ts';
import { cast } from '../../src/ops/cast.ts';
import { dropoutMask } from '../../src/ops/dropout_mask.ts';
import { matmul } from '../../src/ops/matmul.ts';
import { mul } from '../../src/ops/mul.ts';
import { sliceAxis } from '../../src/ops/slice.ts';
import { Random } from '../../src/shared/random.ts';
import { openCuda } from './backend.ts';

const cuda = await openCuda();

/** Runs a graph of float32 inputs on the card and on the oracle; the largest difference, by result, over the largest value. */
async function errors(
  build: (graph: Graph) => Record<string, Value>,
  inputs: Tensors,
): Promise<Record<string, number>> {
  const run = async (backend: Backend) => {
    const graph = new Graph(backend.decomposed);
    for (const [name, value] of Object.entries(build(graph))) graph.output(name, value);
    const program = await backend.compile(graph);
    const results = await program.run(inputs);
    await program.dispose();
    return results;
  };
  const [got, wanted] = [await run(cuda.backend!), await run(createReferenceBackend())];
  return Object.fromEntries(
    Object.entries(wanted).map(([name, expected]) => {
      const actual = Array.from(got[name]!);
      const scale = Math.max(...Array.from(expected, Math.abs));
      return [name, Math.max(...Array.from(expected, (x, i) => Math.abs(x - actual[i]!))) / scale];
    }),
  );
}

const random = Random.from(3);
const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());

// Results and values between are bf16, whose 8 bits round by up to 2^-9 of a value; a few such roundings add up.
const BF16 = 2 ** -7;

describe.skipIf(!cuda.backend)(`rewrites on ${cuda.title}`, () => {
  test('a sum of a short product, a long one, a bias and an addend', async () => {
    const [tokens, width, out, rank] = [24, 64, 40, 8];
    const build = (graph: Graph) => {
      const of = (name: string, ...shape: number[]) => cast(graph.input(name, shape, 'f32'), 'bf16');
      const base = add(matmul(of('x', tokens, width), of('w', out, width), { transB: true }), of('bias', out));
      const delta = matmul(of('inner', tokens, rank), of('b', out, rank), { transB: true });
      return { y: cast(add(add(base, delta), of('residual', tokens, out)), 'f32') };
    };
    const inputs = {
      ...{ x: normal(tokens * width), w: normal(out * width), bias: normal(out), inner: normal(tokens * rank) },
      ...{ b: normal(out * rank), residual: normal(tokens * out) },
    };
    expect((await errors(build, inputs)).y).toBeLessThan(BF16);
  });

  test('a dropout mask that several kernels read, elementwise and not', async () => {
    const [rows, columns] = [32, 48];
    const build = (graph: Graph) => {
      const x = cast(graph.input('x', [rows, columns], 'f32'), 'bf16');
      const w = cast(graph.input('w', [columns, columns], 'f32'), 'bf16');
      const mask = dropoutMask(graph.input('tick', [], 'i32'), { shape: [rows, columns], p: 0.3, key: 11 });
      const narrow = cast(mask, 'bf16');
      const between = matmul(mul(x, narrow), w);
      return { y: cast(mul(between, narrow), 'f32'), product: cast(matmul(narrow, w), 'f32'), mask };
    };
    const inputs = { x: normal(rows * columns), w: normal(columns * columns), tick: Int32Array.of(5) };
    const { mask, ...rest } = await errors(build, inputs);
    // The mask leaves the program in float32, as float64 rounds to it.
    expect(mask).toBeLessThan(1e-7);
    for (const error of Object.values(rest)) expect(error).toBeLessThan(BF16);
  });

  test('a product that is cast to float32 by slices', async () => {
    const [rows, depth, columns] = [16, 32, 24];
    const build = (graph: Graph) => {
      const of = (name: string, ...shape: number[]) => cast(graph.input(name, shape, 'f32'), 'bf16');
      const y = matmul(of('a', depth, rows), of('b', depth, columns), { transA: true });
      return { upper: cast(sliceAxis(y, 0, 0, 8), 'f32'), lower: cast(sliceAxis(y, 0, 8, 16), 'f32') };
    };
    const inputs = { a: normal(depth * rows), b: normal(depth * columns) };
    const { upper, lower } = await errors(build, inputs);
    // Inputs are rounded alike on both sides, and the oracle rounds the product to bf16, which the card no longer does.
    expect(Math.max(upper!, lower!)).toBeLessThan(2 ** -8);
  });

  test('attentions that share segment ids, in rows of two lengths', async () => {
    const [tokens, width] = [96, 16];
    const build = (graph: Graph) => {
      const q = cast(graph.input('q', [tokens, 2, width], 'f32'), 'bf16');
      const [k, v] = ['k', 'v'].map((name) => cast(graph.input(name, [tokens, 1, width], 'f32'), 'bf16')) as [
        Value,
        Value,
      ];
      const segments = graph.input('segments', [tokens], 'i32');
      const of = (row: number) => cast(attention(q, k, v, segments, { row, causal: true, scale: 0.25 }), 'f32');
      return { short: of(48), long: of(96), again: of(48) };
    };
    const one = [...Array<number>(20).fill(1), ...Array<number>(21).fill(2), ...Array<number>(7).fill(0)];
    const inputs = {
      ...{ q: normal(tokens * 2 * width), k: normal(tokens * width), v: normal(tokens * width) },
      segments: Int32Array.from([...one, ...one]),
    };
    for (const error of Object.values(await errors(build, inputs))) expect(error).toBeLessThan(BF16);
  });
});
