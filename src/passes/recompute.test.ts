// Recomputation by layer: the same numbers bit for bit, fewer bytes alive, layers made again in the backward pass's order.
import { expect, test } from 'vitest';
import { grad } from '../autodiff/grad.ts';
import { createReferenceBackend } from '../backends/reference/index.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { verify } from '../graph/verify.ts';
import { add } from '../ops/add.ts';
import { dropoutMask } from '../ops/dropout_mask.ts';
import { exp } from '../ops/exp.ts';
import { gelu } from '../ops/gelu.ts';
import { matmul } from '../ops/matmul.ts';
import { mul } from '../ops/mul.ts';
import { reduceSum } from '../ops/reduce_sum.ts';
import { Random } from '../shared/random.ts';
import { liveNodes } from './live.ts';
import { planMemory } from './memory_plan.ts';
import { recompute } from './recompute.ts';

const [ROWS, WIDTH, LAYERS] = [64, 8, 6];

/** A residual network with dropout; every layer reads `gate`, which the first one makes. Gradients are outputs. */
function network(): Graph {
  const graph = new Graph();
  const tick = graph.input('tick', [], 'i32');
  let x: Value = graph.input('x', [ROWS, WIDTH], 'f32');
  const gate = () => exp(graph.input('gate', [ROWS, 1], 'f32'));
  const weights = Array.from({ length: LAYERS }, (_, i) => graph.state(`w${i}`, [WIDTH, WIDTH], 'f32'));
  weights.forEach((weight, i) => {
    graph.checkpoint(x);
    const mask = dropoutMask(tick, { shape: [ROWS, WIDTH], p: 0.25, key: i });
    x = add(x, mul(gelu(mul(matmul(x, exp(weight)), gate()), 'quick'), mask));
  });
  const loss = reduceSum(mul(x, x), [0, 1]);
  graph.output('loss', loss);
  grad(loss, weights).forEach((g, i) => {
    graph.output(`g${i}`, g);
    graph.assign(weights[i]!, add(weights[i]!, g));
  });
  return graph;
}

test('losses, gradients and written states are those of the plain program, bit for bit', async () => {
  const random = Random.from(5);
  const normals = (length: number) => Float32Array.from({ length }, () => 0.3 * random.normal());
  const inputs = { tick: Int32Array.of(3), x: normals(ROWS * WIDTH), gate: normals(ROWS) };
  const starts = Array.from({ length: LAYERS }, () => normals(WIDTH * WIDTH));
  const run = async (graph: Graph) => {
    const backend = createReferenceBackend();
    starts.forEach((data, i) => {
      backend.setState(`w${i}`, { dtype: 'f32', shape: [WIDTH, WIDTH] }, data.slice());
    });
    const results = await (await backend.compile(graph)).run(inputs);
    return { results, states: starts.map((_, i) => backend.getState(`w${i}`).data) };
  };
  const plain = await run(network());
  expect(plain.results.loss![0]).toBeGreaterThan(0);
  expect(await run(recompute(network()))).toEqual(plain);
});

test('a layer is made again where the backward pass reaches it, without what needs no second making', () => {
  const graph = recompute(network());
  verify(graph);
  const count = (name: string) => liveNodes(graph).filter(({ op }) => op.name === name).length;
  // The last layer is followed by its own backward pass.
  expect(count('dropout_mask')).toBe(2 * LAYERS - 1);
  // What layers share and what weights alone give is kept.
  expect(count('exp')).toBe(LAYERS + 1);
  const keys = liveNodes(graph).flatMap(({ op, attrs }) => (op.name === 'dropout_mask' ? [attrs.key] : []));
  expect(keys).toEqual([0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]);
});

test('the arena holds each layer’s input and one layer’s inner values', () => {
  const plain = planMemory(network());
  const less = planMemory(recompute(network()));
  const value = 4 * ROWS * WIDTH;
  // Of each layer but the last: its product, what goes into gelu, and the mask.
  expect(plain.arenaBytes - less.arenaBytes).toBeGreaterThan(2 * (LAYERS - 2) * value);
  expect(less.stateBytes).toBe(plain.stateBytes);
});

test('a program without marks stays as it is', () => {
  const graph = new Graph();
  graph.output('y', exp(add(graph.input('x', [2], 'f32'), graph.scalar(1))));
  expect(liveNodes(recompute(graph)).map(({ op }) => op.name)).toEqual(['add', 'exp']);
});
