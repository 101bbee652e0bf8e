// The greedy choice against the numbers worked out by hand.
import { expect, test } from 'vitest';
import { createOnnxBackend } from '../backends/onnx/index.ts';
import { createReferenceBackend } from '../backends/reference/index.ts';
import { Graph } from '../graph/graph.ts';
import { greedyChoice } from './greedy_choice.ts';

test.each([
  ['reference', () => Promise.resolve(createReferenceBackend())],
  ['onnx', createOnnxBackend],
] as const)('the first of equal maxima, and its probability: %s', async (_name, create) => {
  const backend = await create();
  const graph = new Graph(backend.decomposed);
  const { token, probability } = greedyChoice(graph.input('logits', [4, 4], 'f32'));
  graph.output('token', token);
  graph.output('probability', probability);
  const program = await backend.compile(graph);
  const { NaN: nan } = Number;
  const logits = Float32Array.of(0, 0, 0, 0, 1, 5, 5, 2, -90, -80, -70, -60, nan, nan, nan, nan);
  const out = await program.run({ logits });
  // A row that is not a number still gives a token that exists.
  expect([...out.token!]).toEqual([0, 1, 3, 3]);
  const e = Math.exp;
  expect(out.probability![0]).toBeCloseTo(0.25, 6);
  expect(out.probability![1]).toBeCloseTo(1 / (2 + e(-4) + e(-3)), 6);
  expect(out.probability![2]).toBeCloseTo(1 / (1 + e(-10) + e(-20) + e(-30)), 6);
  await program.dispose();
});
