// Every op on the CUDA backend against the float64 oracle. On a machine with an NVIDIA card it runs there (a card that is
// present and cannot be used is a failure); elsewhere the same backend and kernels run on the emulator, where g++ is.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Tensors } from '../../src/backends/contract.ts';
import { fromHost } from '../../src/backends/reference/host.ts';
import { Graph, type Value } from '../../src/graph/graph.ts';
import { verify } from '../../src/graph/verify.ts';
import {
  cases as allCases,
  ExactGraph,
  hostInputs,
  narrow,
  oracle,
  programOf,
  relativeError,
  sampleData,
  toleranceOf,
} from '../conformance/samples.ts';
import { openCuda } from './backend.ts';

const cases = [...allCases, ...narrow.filter(({ format }) => format === 'bf16')].map((one) => ({
  ...one,
  data: sampleData(one.sample, one.seed),
}));

const cuda = await openCuda();

describe.skipIf(!cuda.backend)(`every op on ${cuda.title}`, () => {
  let results: Tensors;
  let program: Awaited<ReturnType<Backend['compile']>>;

  // All samples are one program: one compilation, and a plan with many lifetimes.
  beforeAll(async () => {
    const backend = cuda.backend!;
    const graph = new Graph(backend.decomposed);
    const inputs: Tensors = {};
    cases.forEach(({ op, sample, data }, n) => {
      const values = sample.inputs.map(({ shape, dtype }, i) => graph.input(`${n}.x${i}`, shape, dtype));
      for (const [name, array] of Object.entries(hostInputs(sample, data))) inputs[`${n}.${name}`] = array;
      graph.apply(op, values, sample.attrs).forEach((value: Value, i: number) => {
        graph.output(`${n}.y${i}`, value);
      });
    });
    verify(graph);
    program = await backend.compile(graph);
    results = await program.run(inputs);
  });
  afterAll(() => program?.dispose());

  test.each(cases.map((one, n) => ({ ...one, n })))('$title', ({ op, sample, data, n }) => {
    const graph = programOf(new ExactGraph(), op, sample);
    const expected = oracle(graph, data);
    for (const [output, value] of graph.outputs) {
      const actual = fromHost(value.type, results[`${n}.${output}`]!);
      const error = relativeError(actual, expected[output]!);
      expect(error, `${output} ${value}`).toBeLessThanOrEqual(
        toleranceOf(value.type, sample, cuda.backend!.decomposed.has(op.name)),
      );
    }
  });
});
