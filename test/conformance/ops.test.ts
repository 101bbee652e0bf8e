// Conformance: every op on every backend against the oracle, every decomposition against the native kernel, and every
// gradient against central differences in float64.
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { grad } from '../../src/autodiff/grad.ts';
import type { Backend } from '../../src/backends/contract.ts';
import { createOnnxBackend } from '../../src/backends/onnx/index.ts';
import { createReferenceBackend } from '../../src/backends/reference/index.ts';
import { Graph, type OpDef, type Sample } from '../../src/graph/graph.ts';
import { isFloat } from '../../src/graph/types.ts';
import { verify } from '../../src/graph/verify.ts';
import { ops } from '../../src/ops/index.ts';
import { mul } from '../../src/ops/mul.ts';
import { reduceSum } from '../../src/ops/reduce_sum.ts';
import { Random } from '../../src/shared/random.ts';
import {
  callOf,
  differentiable,
  ExactGraph,
  hostInputs,
  oracle,
  programOf,
  relativeError,
  sampleData,
} from './samples.ts';

const backends: Record<string, () => Backend | Promise<Backend>> = {
  reference: createReferenceBackend,
  onnx: createOnnxBackend,
};

// float32 has an epsilon of 1.2e-7. The samples sum at most ~40 products of values of size ~3, so sums carry ~1e-6 of
// the largest output, and exp, erf and divisions by small variances multiply that by up to ten.
const FLOAT32 = 2e-5;
// Both sides in float64; the order of sums differs.
const FLOAT64 = 1e-10;
// Central differences: h² of truncation and 1e-16/h of rounding are both ~1e-10, times third derivatives.
const STEP = 1e-5;
const DIFFERENCE = 1e-6;

const cases = Object.values(ops as Record<string, OpDef>).flatMap((op) =>
  op.samples.map((sample, i) => ({ title: `${op.name} #${i}`, op, sample, seed: i + 1 })),
);

test('the table of ops names each op, and each has a file and a sample', () => {
  for (const [name, op] of Object.entries(ops)) {
    expect(op.name).toBe(name);
    expect(existsSync(new URL(`../../src/ops/${name}.ts`, import.meta.url)), `src/ops/${name}.ts`).toBe(true);
    expect(op.samples.length, name).toBeGreaterThan(0);
  }
});

for (const [name, create] of Object.entries(backends))
  describe(`forward on ${name}`, () => {
    test.each(cases)('$title', async ({ op, sample, seed }) => {
      const data = sampleData(sample, seed);
      const expected = oracle(programOf(new ExactGraph(), op, sample), data);
      const backend = await create();
      const graph = programOf(new Graph(backend.decomposed), op, sample);
      verify(graph);
      const program = await backend.compile(graph);
      const actual = await program.run(hostInputs(sample, data));
      await program.dispose();
      for (const [output, value] of graph.outputs) {
        const tolerance = isFloat(value.dtype) ? FLOAT32 : 0;
        const error = relativeError(actual[output]!, expected[output]!);
        expect(error, `${output} ${value}`).toBeLessThanOrEqual(tolerance);
      }
    });
  });

describe('decomposition equals the native kernel', () => {
  test.each(cases.filter(({ op }) => op.decompose))('$title', ({ op, sample, seed }) => {
    const data = sampleData(sample, seed);
    const expected = oracle(programOf(new ExactGraph(), op, sample), data);
    const graph = programOf(new ExactGraph(new Set([op.name])), op, sample);
    expect(graph.nodes.some((node) => node.op.name === op.name)).toBe(false);
    verify(graph);
    const actual = oracle(graph, data);
    for (const output of graph.outputs.keys())
      expect(relativeError(actual[output]!, expected[output]!), output).toBeLessThanOrEqual(FLOAT64);
  });
});

/** Σ first output · fixed random weights. */
function lossOf(op: OpDef, sample: Sample) {
  const { graph, inputs, outputs } = callOf(new ExactGraph(), op, sample);
  const out = outputs[0]!;
  const random = Random.from(99);
  const weights = graph.constant(
    Float32Array.from({ length: out.shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    out.shape,
    'f32',
  );
  const axes = out.shape.map((_, i) => i);
  return { graph, inputs, loss: reduceSum(mul(out, weights), axes) };
}

describe('gradient equals central differences', () => {
  const checked = cases.filter(({ op, sample }) => op.vjp && differentiable(sample).length > 0);
  test.each(checked)('$title', ({ op, sample, seed }) => {
    const data = sampleData(sample, seed);
    const wrt = differentiable(sample);

    const forward = lossOf(op, sample);
    forward.graph.output('loss', forward.loss);
    const lossAt = (): number => oracle(forward.graph, data).loss![0]!;

    const backward = lossOf(op, sample);
    const grads = grad(
      backward.loss,
      wrt.map((i) => backward.inputs[i]!),
    );
    grads.forEach((value, n) => {
      expect(value.type).toEqual(backward.inputs[wrt[n]!]!.type);
      backward.graph.output(`g${wrt[n]}`, value);
    });
    verify(backward.graph);
    const analytic = oracle(backward.graph, data);

    for (const i of wrt) {
      const x = data[i] as Float64Array;
      const numeric = x.map((value, n) => {
        x[n] = value + STEP;
        const above = lossAt();
        x[n] = value - STEP;
        const below = lossAt();
        x[n] = value;
        return (above - below) / (2 * STEP);
      });
      expect(relativeError(analytic[`g${i}`]!, numeric), `gradient of input ${i}`).toBeLessThanOrEqual(DIFFERENCE);
    }
  });
});
