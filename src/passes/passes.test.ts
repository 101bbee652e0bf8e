// The passes: dead code, the memory plan on random programs, and the count of operations.
import { describe, expect, test } from 'vitest';
import { Graph, type Value } from '../graph/graph.ts';
import { bytesOf } from '../graph/types.ts';
import { add } from '../ops/add.ts';
import { exp } from '../ops/exp.ts';
import { matmul } from '../ops/matmul.ts';
import { reduceSum } from '../ops/reduce_sum.ts';
import { reshape } from '../ops/reshape.ts';
import { Random } from '../shared/random.ts';
import { countFlops } from './cost.ts';
import { liveNodes } from './live.ts';
import { ALIGNMENT, planMemory } from './memory_plan.ts';

test('only what outputs and writes depend on is live, in order', () => {
  const graph = new Graph();
  const x = graph.input('x', [2], 'f32');
  const w = graph.state('w', [2], 'f32');
  const used = exp(x);
  exp(used);
  const written = add(used, w);
  graph.assign(w, written);
  graph.output('sum', reduceSum(used, [0]));
  expect(liveNodes(graph).map((node) => node.op.name)).toEqual(['exp', 'add', 'reduce_sum']);
});

test('operations are counted on live nodes only', () => {
  const graph = new Graph();
  const a = graph.input('a', [3, 4], 'f32');
  const product = matmul(a, graph.input('b', [4, 5], 'f32'));
  exp(product);
  graph.output('y', exp(reshape(product, [15])));
  expect(countFlops(graph)).toBe(2 * 3 * 4 * 5 + 15);
});

/** A random program of elementwise ops, sums and reshapes over values of mixed sizes. */
function randomGraph(seed: number): Graph {
  const random = Random.from(seed);
  const graph = new Graph();
  const rows = [1, 3, 16, 64, 1000].map((n) => graph.input(`x${n}`, [n, 4], 'f32'));
  const pool: Value[] = [...rows, graph.state('w', [64, 4], 'f32'), graph.constant(new Float32Array(4), [1, 4], 'f32')];
  for (let i = 0; i < 60; i++) {
    const x = random.pick(pool.slice(-12));
    const kind = random.int(4);
    if (kind === 0) pool.push(exp(x));
    else if (kind === 1) pool.push(add(x, random.pick(pool.filter((v) => v.shape[0] === x.shape[0]))));
    else if (kind === 2)
      pool.push(reshape(reshape(x, [x.shape[0]! * 4]), [...x.shape]), exp(reshape(x, [4, x.shape[0]!])));
    else pool.push(reduceSum(x, [0], true));
    const last = pool.at(-1)!;
    if (last.shape.length !== 2 || last.shape[1] !== 4) pool[pool.length - 1] = reshape(last, [last.shape[1]!, 4]);
  }
  graph.output('last', pool.at(-1)!);
  graph.output('view', reshape(pool.at(-2)!, [pool.at(-2)!.shape[0]! * 4]));
  const big = pool.filter((v) => v.shape[0] === 64);
  graph.assign(graph.state('w', [64, 4], 'f32'), random.pick(big));
  return graph;
}

describe('memory plan', () => {
  test('no two values that are alive together share bytes, on random programs', () => {
    for (let seed = 0; seed < 100; seed++) {
      const graph = randomGraph(seed);
      const plan = planMemory(graph);
      // Who needs each storage at each step, found anew from the program.
      const roots = new Map<Value, Value>();
      const root = (value: Value): Value => roots.get(value) ?? value;
      const first = new Map<Value, number>();
      const last = new Map<Value, number>();
      plan.order.forEach((node, step) => {
        for (const value of node.inputs) last.set(root(value), step);
        for (const value of node.outputs) {
          if (node.op.name === 'reshape') roots.set(value, root(node.inputs[0]!));
          else {
            first.set(value, step);
            last.set(value, step);
          }
        }
      });
      for (const value of [...graph.outputs.values(), ...graph.writes.map((w) => w.value)])
        last.set(root(value), plan.order.length);
      const values = [...first.keys()];
      for (const [i, a] of values.entries()) {
        const p = plan.places.get(a)!;
        expect(p.offset % ALIGNMENT).toBe(0);
        expect(p.bytes).toBeGreaterThanOrEqual(bytesOf(a.type));
        expect(p.offset + p.bytes).toBeLessThanOrEqual(plan.arenaBytes);
        for (const b of values.slice(i + 1)) {
          const q = plan.places.get(b)!;
          const together = first.get(a)! <= last.get(b)! && first.get(b)! <= last.get(a)!;
          const apart = p.offset + p.bytes <= q.offset || q.offset + q.bytes <= p.offset;
          if (together && !apart) expect.fail(`seed ${seed}: ${a} and ${b} overlap`);
        }
      }
      for (const [view, owner] of roots) {
        expect(plan.storage(view)).toBe(owner);
        expect(plan.places.get(view)).toEqual(plan.places.get(owner));
      }
      expect(plan.arenaBytes).toBeGreaterThanOrEqual(plan.liveBytes);
      // The packing is a heuristic, but not a bad one.
      expect(plan.arenaBytes).toBeLessThanOrEqual(1.5 * plan.liveBytes);
    }
  });

  test('a chain reuses two buffers, and a reshape takes none', () => {
    const graph = new Graph();
    let x = graph.input('x', [64], 'f32');
    for (let i = 0; i < 10; i++) x = reshape(exp(x), i % 2 ? [64] : [8, 8]);
    graph.state('w', [100], 'f32');
    graph.output('y', x);
    const plan = planMemory(graph);
    expect(plan).toMatchObject({ arenaBytes: 512, liveBytes: 512, inputBytes: 256, stateBytes: 512, constantBytes: 0 });
    expect(plan.peakBytes).toBe(512 + 256 + 512);
  });

  test('a view of an input takes no arena', () => {
    const graph = new Graph();
    const view = reshape(graph.input('x', [4, 2], 'f32'), [8]);
    graph.output('y', view);
    const plan = planMemory(graph);
    expect(plan.arenaBytes).toBe(0);
    expect(plan.storage(view)).toBe(graph.inputs.get('x'));
  });
});
