// Conformance: every op on every backend against the oracle, every decomposition against the native kernel, and every
// gradient against central differences in float64.
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { grad } from '../../src/autodiff/grad.ts';
import type { Backend } from '../../src/backends/contract.ts';
import { createOnnxBackend } from '../../src/backends/onnx/index.ts';
import { createReferenceBackend } from '../../src/backends/reference/index.ts';
import { Graph, type OpDef, type Sample } from '../../src/graph/graph.ts';
import type { DType } from '../../src/graph/types.ts';
import { verify } from '../../src/graph/verify.ts';
import { cast } from '../../src/ops/cast.ts';
import { ops } from '../../src/ops/index.ts';
import { mul } from '../../src/ops/mul.ts';
import { reduceSum } from '../../src/ops/reduce_sum.ts';
import { Random } from '../../src/shared/random.ts';
import {
  callOf,
  cases,
  differentiable,
  ExactGraph,
  hostInputs,
  isRunnable,
  narrow,
  numbersOf,
  oracle,
  programOf,
  relativeError,
  sampleData,
  toleranceOf,
} from './samples.ts';

/** Each backend, and the float formats that it runs. */
const backends: Record<string, { create: () => Backend | Promise<Backend>; formats: readonly DType[] }> = {
  reference: { create: createReferenceBackend, formats: ['f32', 'bf16', 'f16'] },
  onnx: { create: createOnnxBackend, formats: ['f32'] },
};

// Both sides in float64; the order of sums differs.
const FLOAT64 = 1e-10;
// Central differences: h² of truncation and 1e-16/h of rounding are both ~1e-10, times third derivatives.
const STEP = 1e-5;
const DIFFERENCE = 1e-6;

test('the table of ops names each op, and each has a file and a sample', () => {
  for (const [name, op] of Object.entries(ops)) {
    expect(op.name).toBe(name);
    expect(existsSync(new URL(`../../src/ops/${name}.ts`, import.meta.url)), `src/ops/${name}.ts`).toBe(true);
    expect(op.samples.length, name).toBeGreaterThan(0);
  }
});

for (const [name, { create, formats }] of Object.entries(backends))
  describe(`forward on ${name}`, () => {
    const runnable = [...cases, ...narrow].filter(({ op, sample }) =>
      isRunnable(programOf(new Graph(), op, sample), formats),
    );
    test.each(runnable)('$title', async ({ op, sample, seed }) => {
      const data = sampleData(sample, seed);
      const expected = oracle(programOf(new ExactGraph(), op, sample), data);
      const backend = await create();
      const graph = programOf(new Graph(backend.decomposed), op, sample);
      verify(graph);
      const program = await backend.compile(graph);
      const actual = numbersOf(graph, await program.run(hostInputs(sample, data)));
      await program.dispose();
      const built = backend.decomposed.has(op.name);
      for (const [output, value] of graph.outputs) {
        const error = relativeError(actual[output]!, expected[output]!);
        expect(error, `${output} ${value}`).toBeLessThanOrEqual(toleranceOf(value.type, sample, built));
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

describe('decomposition in a narrow format', () => {
  test.each(narrow.filter(({ op }) => op.decompose))('$title', ({ op, sample, seed }) => {
    const data = sampleData(sample, seed);
    const expected = oracle(programOf(new ExactGraph(), op, sample), data);
    const graph = programOf(new ExactGraph(new Set([op.name])), op, sample);
    verify(graph);
    const actual = oracle(graph, data);
    for (const [output, { type }] of graph.outputs) {
      const error = relativeError(actual[output]!, expected[output]!);
      expect(error, output).toBeLessThanOrEqual(toleranceOf(type, sample, true));
    }
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
  return { graph, inputs, loss: reduceSum(mul(cast(out, 'f32'), weights), axes) };
}

/** The gradients g0, g1, … of the float inputs, in the inputs' own formats. */
function gradientOf(op: OpDef, sample: Sample): ExactGraph {
  const { graph, inputs, loss } = lossOf(op, sample);
  const wrt = differentiable(sample);
  const grads = grad(
    loss,
    wrt.map((i) => inputs[i]!),
  );
  grads.forEach((value, n) => {
    expect(value.type).toEqual(inputs[wrt[n]!]!.type);
    graph.output(`g${wrt[n]}`, value);
  });
  verify(graph);
  return graph;
}
const hasGradient = ({ op, sample }: { op: OpDef; sample: Sample }): boolean =>
  op.vjp !== undefined && differentiable(sample).length > 0;

describe('gradient equals central differences', () => {
  test.each(cases.filter(hasGradient))('$title', ({ op, sample, seed }) => {
    const data = sampleData(sample, seed);
    const forward = lossOf(op, sample);
    forward.graph.output('loss', forward.loss);
    const lossAt = (): number => oracle(forward.graph, data).loss![0]!;
    const analytic = oracle(gradientOf(op, sample), data);

    for (const i of differentiable(sample)) {
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

describe('gradient in a narrow format', () => {
  test.each(narrow.filter(hasGradient))('$title', ({ op, sample, seed, format }) => {
    const data = sampleData(sample, seed);
    const inputs = sample.inputs.map((input) => (input.dtype === format ? { ...input, dtype: 'f32' as const } : input));
    const expected = oracle(gradientOf(op, { ...sample, inputs }), data);
    const graph = gradientOf(op, sample);
    const actual = oracle(graph, data);
    for (const [output, { type }] of graph.outputs) {
      const error = relativeError(actual[output]!, expected[output]!);
      expect(error, output).toBeLessThanOrEqual(toleranceOf(type, sample, true));
    }
  });
});
