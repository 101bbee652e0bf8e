// The oracle's own rules: rounding of narrow floats, erf, and when reads and writes of states take effect.
import { describe, expect, test } from 'vitest';
import { Graph, type Value } from '../../graph/graph.ts';
import type { HostArray } from '../../graph/types.ts';
import { add } from '../../ops/add.ts';
import { cast } from '../../ops/cast.ts';
import { mul } from '../../ops/mul.ts';
import { reduceSum } from '../../ops/reduce_sum.ts';
import { sliceAxis } from '../../ops/slice.ts';
import { erf } from './elementwise.ts';
import { fromHost, toHost } from './host.ts';
import { createReferenceBackend } from './index.ts';
import { roundTo } from './kernel.ts';

describe('narrow floats', () => {
  test.each([
    ['bf16', 1 + 2 ** -8, 1], // ties to even, down
    ['bf16', 1 + 3 * 2 ** -8, 1 + 2 ** -6], // and up
    ['bf16', 1 + 2 ** -8 + 2 ** -30, 1 + 2 ** -7], // no rounding by way of f32
    ['bf16', -5.13, -5.125],
    ['bf16', 3.4e38, Number.POSITIVE_INFINITY],
    ['f16', 65519, 65504],
    ['f16', 65520, Number.POSITIVE_INFINITY],
    ['f16', 2 ** -24, 2 ** -24],
    ['f16', 2 ** -25, 0],
    ['f16', 1.5 * 2 ** -24, 2 ** -23],
    ['f16', 0.1, 0.0999755859375],
    ['f32', 0.1, 0.1],
  ] as const)('%s of %d is %d', (dtype, x, expected) => {
    expect(roundTo(dtype, x)).toBe(expected);
  });

  test('every f16 and bf16 bit pattern survives the way in and out', () => {
    for (const dtype of ['f16', 'bf16'] as const) {
      const type = { dtype, shape: [65536] };
      const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
      const back = toHost(type, fromHost(type, bits));
      const isNaNBits = (b: number): boolean => (dtype === 'f16' ? (b & 0x7fff) > 0x7c00 : (b & 0x7fff) > 0x7f80);
      expect([...bits].filter((b) => !isNaNBits(b) && back[b] !== b)).toEqual([]);
    }
  });

  test('every op of a program rounds its result once', async () => {
    // bf16 counts from 256 on in twos: 256 + 1 lies between 256 and 258 and goes to the even mantissa, 256. Summed in
    // one op, 1 + 1 + 256 is 258.
    const graph = new Graph();
    const x = graph.input('x', [3], 'bf16');
    const [big, one, other] = [0, 1, 2].map((i) => sliceAxis(x, 0, i, i + 1)) as [Value, Value, Value];
    graph.output('steps', add(add(big, one), other));
    graph.output('sum', reduceSum(x, [0]));
    const program = await createReferenceBackend().compile(graph);
    const out = await program.run({ x: toHost({ dtype: 'bf16', shape: [3] }, Float64Array.of(256, 1, 1)) });
    const number = (bits: HostArray | undefined) => fromHost({ dtype: 'bf16', shape: [1] }, bits!)[0];
    expect([number(out.steps), number(out.sum)]).toEqual([256, 258]);
  });

  test('a cast rounds, and its result leaves as bits', async () => {
    const graph = new Graph();
    graph.output('y', cast(graph.input('x', [2], 'f32'), 'bf16'));
    const program = await createReferenceBackend().compile(graph);
    const { y } = await program.run({ x: Float32Array.of(1, 1.01) });
    expect(y).toEqual(Uint16Array.of(0x3f80, 0x3f81));
  });
});

test('erf to float64', () => {
  // Known to 16 digits.
  expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
  expect(erf(-1)).toBeCloseTo(-0.8427007929497149, 14);
  expect(erf(2.5)).toBeCloseTo(0.999593047982555, 14);
  expect(erf(5)).toBeCloseTo(0.9999999999984626, 14);
  expect(erf(40)).toBe(1);
});

describe('states', () => {
  const vector = { dtype: 'f32', shape: [2] } as const;

  test('reads see the values from before the program, in writes too', async () => {
    const backend = createReferenceBackend();
    backend.setState('a', vector, Float32Array.of(1, 2));
    backend.setState('b', vector, Float32Array.of(10, 20));
    const graph = new Graph();
    const [a, b] = [graph.state('a', [2], 'f32'), graph.state('b', [2], 'f32')];
    graph.assign(a, b);
    graph.assign(b, add(a, b));
    graph.output('sum', add(a, b));
    const program = await backend.compile(graph);
    expect(await program.run({})).toEqual({ sum: Float32Array.of(11, 22) });
    expect(backend.getState('a').data).toEqual(Float32Array.of(10, 20));
    expect(backend.getState('b').data).toEqual(Float32Array.of(11, 22));
  });

  test('rows are written where each sequence stands', async () => {
    const backend = createReferenceBackend();
    backend.setState('cache', { dtype: 'f32', shape: [2, 1, 3, 2] }, new Float32Array(12));
    const graph = new Graph();
    const cache = graph.state('cache', [2, 1, 3, 2], 'f32');
    graph.assignRows(cache, graph.input('at', [2], 'i32'), graph.input('row', [2, 1, 1, 2], 'f32'));
    const program = await backend.compile(graph);
    await program.run({ at: Int32Array.of(2, 0), row: Float32Array.of(1, 2, 3, 4) });
    expect([...backend.getState('cache').data]).toEqual([0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
    await expect(program.run({ at: Int32Array.of(3, 0), row: new Float32Array(4) })).rejects.toThrow(
      /leaves the state/,
    );
  });

  test('what is missing or of another type is named', async () => {
    const backend = createReferenceBackend();
    const graph = new Graph();
    graph.output('y', mul(graph.state('w', [2], 'f32'), graph.input('x', [2], 'f32')));
    const program = await backend.compile(graph);
    await expect(program.run({ x: new Float32Array(2) })).rejects.toThrow(/state 'w' is missing/);
    backend.setState('w', { dtype: 'f32', shape: [3] }, new Float32Array(3));
    await expect(program.run({ x: new Float32Array(2) })).rejects.toThrow(/f32\[3\]; the program expects f32\[2\]/);
    backend.setState('w', vector, Float32Array.of(2, 3));
    await expect(program.run({ x: new Float32Array(3) })).rejects.toThrow(/input 'x': expected f32\[2\]/);
    expect(await program.run({ x: Float32Array.of(1, 2) })).toEqual({ y: Float32Array.of(2, 6) });
  });
});
