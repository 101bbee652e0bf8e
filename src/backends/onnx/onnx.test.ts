// The ONNX Runtime backend: what the conformance suite does not see (large shapes, states, row writes, errors).
import { describe, expect, test } from 'vitest';
import { Graph, type Value } from '../../graph/graph.ts';
import { type HostArray, type Shape, sizeOf } from '../../graph/types.ts';
import { add } from '../../ops/add.ts';
import { cast } from '../../ops/cast.ts';
import { dropoutMask } from '../../ops/dropout_mask.ts';
import { ops } from '../../ops/index.ts';
import { matmul } from '../../ops/matmul.ts';
import { mul } from '../../ops/mul.ts';
import { neg } from '../../ops/neg.ts';
import { scatterAddRows } from '../../ops/scatter_add_rows.ts';
import { swiglu } from '../../ops/swiglu.ts';
import { foldKey, mix32, Random } from '../../shared/random.ts';
import { createOnnxBackend } from './index.ts';
import { lowerings } from './lowering.ts';

const F32 = (shape: Shape) => ({ dtype: 'f32', shape }) as const;
const random = Random.from(1);
const floats = (shape: Shape) => Float32Array.from({ length: sizeOf(shape) }, () => random.normal());

/** Traces and compiles on a fresh backend. */
async function build(trace: (graph: Graph) => Record<string, Value> | null) {
  const backend = await createOnnxBackend({ threads: 4 });
  const graph = new Graph(backend.decomposed);
  for (const [name, value] of Object.entries(trace(graph) ?? {})) graph.output(name, value);
  return { backend, program: await backend.compile(graph) };
}

test('what is to be decomposed can be', () => {
  for (const [name, lowering] of Object.entries(lowerings))
    if (lowering === 'decompose') expect(ops[name as keyof typeof ops].decompose, name).toBeDefined();
});

describe('numbers at real sizes', () => {
  test('matmul, each transposition, plain and batched', async () => {
    const [m, k, n] = [37, 65, 50];
    for (const batch of [[], [3], [2, 2]])
      for (const transA of [false, true])
        for (const transB of [false, true]) {
          const shapeA = [...batch, ...(transA ? [k, m] : [m, k])];
          const shapeB = [...batch, ...(transB ? [n, k] : [k, n])];
          const { program } = await build((g) => ({
            y: matmul(g.input('a', shapeA, 'f32'), g.input('b', shapeB, 'f32'), { transA, transB }),
          }));
          const [a, b] = [floats(shapeA), floats(shapeB)];
          const { y } = await program.run({ a, b });
          let worst = 0;
          for (let i = 0; i < sizeOf(batch); i++)
            for (let r = 0; r < m; r++)
              for (let c = 0; c < n; c++) {
                let sum = 0;
                for (let t = 0; t < k; t++)
                  sum +=
                    a[i * m * k + (transA ? t * m + r : r * k + t)]! * b[i * k * n + (transB ? c * k + t : t * n + c)]!;
                worst = Math.max(worst, Math.abs(sum - y![(i * m + r) * n + c]!));
              }
          // 65 products of size 1, each rounded to 6e-8 of a running sum of at most ~30
          expect(worst, `${batch} ${transA} ${transB}`).toBeLessThan(2e-5);
          await program.dispose();
        }
  });

  test('a product takes along what is added to it: a row, a column, a matrix, a product, a scalar', async () => {
    const [m, k, n] = [3, 4, 5];
    const [a, b] = [floats([m, k]), floats([k, n])];
    const product = (r: number, c: number) => {
      let sum = 0;
      for (let t = 0; t < k; t++) sum += a[r * k + t]! * b[t * n + c]!;
      return sum;
    };
    for (const shape of [[n], [m, 1], [m, n], []]) {
      const addend = floats(shape);
      const [rows, columns] = [shape.length === 2, shape.at(-1) === n];
      const of = (r: number, c: number) => addend[(rows ? r * (columns ? n : 1) : 0) + (columns ? c : 0)]!;
      const { program } = await build((g) => {
        const [x, w, bias] = [
          g.input('a', [m, k], 'f32'),
          g.input('b', [k, n], 'f32'),
          g.input('addend', shape, 'f32'),
        ];
        const shared = matmul(neg(x), w);
        return {
          right: add(matmul(x, w), bias),
          left: add(bias, matmul(neg(x), neg(w))),
          both: add(matmul(x, neg(w)), matmul(x, add(w, w))),
          // an output as well, so no sum may take it away
          shared,
          kept: add(shared, bias),
        };
      });
      const out = await program.run({ a, b, addend });
      for (let r = 0; r < m; r++)
        for (let c = 0; c < n; c++) {
          const [at, y] = [r * n + c, product(r, c)];
          for (const name of ['right', 'left']) expect(out[name]![at], name).toBeCloseTo(y + of(r, c), 5);
          expect(out.both![at]).toBeCloseTo(y, 5);
          expect(out.shared![at]).toBeCloseTo(-y, 5);
          expect(out.kept![at]).toBeCloseTo(of(r, c) - y, 5);
        }
      await program.dispose();
    }
  });

  test('rms_norm and its rstd', async () => {
    const [tokens, width] = [33, 257];
    const { program } = await build((g) => {
      const [y, rstd] = g.apply(ops.rms_norm, [g.input('x', [tokens, width], 'f32'), g.input('w', [width], 'f32')], {
        eps: 1e-6,
      });
      return { y: y!, rstd: rstd! };
    });
    const [x, w] = [floats([tokens, width]), floats([width])];
    const { y, rstd } = await program.run({ x, w });
    for (let t = 0; t < tokens; t++) {
      const row = x.subarray(t * width, (t + 1) * width);
      const expected = 1 / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / width + 1e-6);
      expect(rstd![t]).toBeCloseTo(expected, 6);
      expect(y![t * width + 7]).toBeCloseTo(row[7]! * expected * w[7]!, 5);
    }
  });

  test('scatter_add_rows loses no addition when ids repeat', async () => {
    const [count, width, rows] = [50_000, 8, 3];
    for (const dtype of ['f32', 'i32'] as const) {
      const { program } = await build((g) => ({
        y: scatterAddRows(g.input('v', [count, width], dtype), g.input('ids', [count], 'i32'), rows),
      }));
      const v = (dtype === 'f32' ? new Float32Array(count * width) : new Int32Array(count * width)).fill(1);
      const ids = Int32Array.from({ length: count }, () => random.int(rows));
      const totals = Array.from({ length: rows }, (_, row) => ids.reduce((sum, id) => sum + Number(id === row), 0));
      const expected = Array.from({ length: rows * width }, (_, i) => totals[Math.floor(i / width)]);
      for (let turn = 0; turn < 10; turn++) expect([...(await program.run({ v, ids })).y!]).toEqual(expected);
    }
  });

  test('dropout_mask draws the stated bits, from an input or a state', async () => {
    const [shape, p] = [[129, 65], 0.1] as const;
    const key = foldKey(1, 2);
    const { backend, program } = await build((g) => ({
      fromInput: dropoutMask(g.input('tick', [], 'i32'), { shape, p, key }),
      fromState: dropoutMask(g.state('tick', [], 'i32'), { shape, p, key }),
    }));
    backend.setState('tick', { dtype: 'i32', shape: [] }, Int32Array.of(-5));
    const { fromInput, fromState } = await program.run({ tick: Int32Array.of(123456) });
    const expected = (tick: number) =>
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
        const bits = mix32((Math.imul(i, 0x9e3779b9) + mix32((tick ^ key) >>> 0)) >>> 0);
        return bits >= Math.floor(p * 2 ** 32) ? 1 / (1 - p) : 0;
      });
    expect(fromInput).toEqual(expected(123456));
    expect(fromState).toEqual(expected(-5));
  });
});

describe('states', () => {
  test('whole writes change places with what is read, shared by two programs', async () => {
    const backend = await createOnnxBackend();
    const first = new Graph(backend.decomposed);
    const [a, b] = [first.state('a', [2], 'f32'), first.state('b', [2], 'f32')];
    first.assign(a, b);
    first.assign(b, add(a, b));
    first.output('before', a);
    const second = new Graph(backend.decomposed);
    second.assign(second.state('a', [2], 'f32'), mul(second.state('a', [2], 'f32'), second.input('k', [], 'f32')));
    const [step, scale] = [await backend.compile(first), await backend.compile(second)];
    backend.setState('a', F32([2]), Float32Array.of(0, 1));
    backend.setState('b', F32([2]), Float32Array.of(1, 2));
    const values = (name: string) => [...backend.getState(name).data];
    const { before } = await step.run({});
    expect([values('a'), values('b')]).toEqual([
      [1, 2],
      [1, 3],
    ]);
    await scale.run({ k: Float32Array.of(10) });
    await step.run({});
    expect([values('a'), values('b')]).toEqual([
      [1, 3],
      [11, 23],
    ]);
    // an output stays what it was
    expect([...before!]).toEqual([0, 1]);
    // runs that are not waited for follow one another
    backend.setState('a', F32([2]), Float32Array.of(1, 1));
    await Promise.all([2, 3, 5].map((k) => scale.run({ k: Float32Array.of(k) })));
    expect(values('a')).toEqual([30, 30]);
    await step.dispose();
    await scale.dispose();
  });

  test('two states may take the same value, and one may take an input or a literal', async () => {
    const { backend, program } = await build((g) => {
      const x = g.input('x', [2], 'f32');
      const y = neg(x);
      for (const name of ['a', 'b']) g.assign(g.state(name, [2], 'f32'), y);
      g.assign(g.state('c', [2], 'f32'), x);
      g.assign(g.state('d', [], 'i32'), g.scalar(7, 'i32'));
      return { y, again: y };
    });
    for (const name of ['a', 'b', 'c']) backend.setState(name, F32([2]), new Float32Array(2));
    backend.setState('d', { dtype: 'i32', shape: [] }, Int32Array.of(0));
    const { y, again } = await program.run({ x: Float32Array.of(1, 2) });
    expect([y, again].map((v) => [...v!])).toEqual([
      [-1, -2],
      [-1, -2],
    ]);
    expect(['a', 'b', 'c', 'd'].map((name) => [...backend.getState(name).data])).toEqual([
      [-1, -2],
      [-1, -2],
      [1, 2],
      [7],
    ]);
  });

  test('frozen states are built in; a program that holds one that has changed refuses to run', async () => {
    const backend = await createOnnxBackend();
    backend.setState('w', F32([2]), Float32Array.of(2, 3));
    backend.setState('sum', F32([2]), new Float32Array(2));
    const graph = new Graph(backend.decomposed);
    const [w, sum] = [graph.state('w', [2], 'f32'), graph.state('sum', [2], 'f32')];
    graph.assign(sum, add(sum, mul(w, graph.input('x', [2], 'f32'))));
    const program = await backend.compile(graph, { frozen: (name) => name === 'w', often: true });
    const x = Float32Array.of(1, 10);
    await program.run({ x });
    await program.run({ x });
    expect([...backend.getState('sum').data]).toEqual([4, 60]);

    const writer = new Graph(backend.decomposed);
    writer.assign(writer.state('w', [2], 'f32'), neg(writer.state('w', [2], 'f32')));
    const flip = await backend.compile(writer);
    // twice: the first array is in place again, with other numbers
    for (let i = 0; i < 2; i++) {
      await flip.run({});
      await expect(program.run({ x })).rejects.toThrow("state 'w' has changed since a program was compiled");
    }
    backend.setState('w', F32([2]), Float32Array.of(2, 3));
    await expect(program.run({ x })).rejects.toThrow("state 'w' has changed");
    expect([...backend.getState('sum').data]).toEqual([4, 60]);
  });

  test('row writes land in place, at each sequence’s own row', async () => {
    const { backend, program } = await build((g) => {
      const cache = g.state('cache', [2, 2, 4, 3], 'f32');
      g.assignRows(cache, g.input('at', [2], 'i32'), g.input('rows', [2, 2, 1, 3], 'f32'));
      return { before: add(cache, g.scalar(0)) };
    });
    const data = new Float32Array(48);
    backend.setState('cache', F32([2, 2, 4, 3]), data);
    const rows = Float32Array.from({ length: 12 }, (_, i) => i + 1);
    const { before } = await program.run({ at: Int32Array.of(0, 3), rows });
    const expected = new Float32Array(48);
    expected.set([1, 2, 3], 0);
    expected.set([4, 5, 6], 12);
    expected.set([7, 8, 9], 24 + 9);
    expected.set([10, 11, 12], 36 + 9);
    expect(backend.getState('cache').data).toEqual(expected);
    expect(backend.getState('cache').data).toBe(data);
    expect(before).toEqual(new Float32Array(48));
    await expect(program.run({ at: Int32Array.of(0, 4), rows })).rejects.toThrow(
      "state 'cache': expected rows within its 4, got 1 from 4 on",
    );
    expect(backend.getState('cache').data).toEqual(expected);
  });
});

describe('errors', () => {
  test('a wrong or missing input or state is named', async () => {
    const { backend, program } = await build((g) => ({ y: mul(g.input('x', [2], 'f32'), g.state('w', [2], 'f32')) }));
    const run = (x?: HostArray) => program.run(x ? { x } : {});
    await expect(run(new Float32Array(2))).rejects.toThrow("state 'w' is missing: expected f32[2]");
    backend.setState('w', F32([3]), new Float32Array(3));
    await expect(run(new Float32Array(2))).rejects.toThrow("state 'w' is f32[3]; the program expects f32[2]");
    backend.setState('w', F32([2]), Float32Array.of(1, 2));
    await expect(run()).rejects.toThrow("input 'x' is missing: expected f32[2]");
    await expect(run(new Float32Array(3))).rejects.toThrow("input 'x': expected f32[2], got Float32Array of 3");
    await expect(run(new Int32Array(2))).rejects.toThrow("input 'x': expected f32[2], got Int32Array of 2");
    expect([...(await run(Float32Array.of(3, 4))).y!]).toEqual([3, 8]);
    expect(() => backend.setState('w', F32([2]), new Float32Array(1))).toThrow("state 'w': expected f32[2]");
    expect(() => backend.getState('nope')).toThrow("state 'nope' is missing");
    expect(() => backend.setState('h', { dtype: 'bf16', shape: [1] }, new Uint16Array(1))).toThrow('no bf16 tensors');
    backend.deleteState('w');
    expect(backend.hasState('w')).toBe(false);
  });

  test('what the CPU does not compute is refused', async () => {
    await expect(build((g) => ({ y: cast(cast(g.input('x', [2], 'f32'), 'bf16'), 'f32') }))).rejects.toThrow(
      'computes in float32 on the CPU; the program holds bf16 tensors',
    );
    const backend = await createOnnxBackend();
    const whole = new Graph();
    whole.output('y', swiglu(whole.input('gate', [2], 'f32'), whole.input('up', [2], 'f32')));
    await expect(backend.compile(whole)).rejects.toThrow('swiglu was to be decomposed');
    await expect(
      build((g) => ({
        y: dropoutMask(add(g.input('i', [], 'i32'), g.scalar(1, 'i32')), { shape: [2], p: 0.5, key: 1 }),
      })),
    ).rejects.toThrow('a tick that the host can read');
  });
});
