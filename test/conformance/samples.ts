// The conformance suite's tools: seeded sample data, programs of one op call, and comparisons.
import { createReferenceBackend, type Data } from '../../src/backends/reference/index.ts';
import { Graph, type OpDef, type Sample, type Value } from '../../src/graph/graph.ts';
import { hostArray, isFloat, sizeOf } from '../../src/graph/types.ts';
import { Random } from '../../src/shared/random.ts';

/** Keeps the float64 value of each 0-d f32 literal, so that a program is not off by the rounding of its literals. */
export class ExactGraph extends Graph {
  readonly literals = new Map<Value, number>();
  override scalar(value: number, dtype: 'f32' | 'i32' = 'f32'): Value {
    const made = super.scalar(value, dtype);
    if (dtype === 'f32') this.literals.set(made, value);
    return made;
  }
}

/** Seeded data of an op's sample: floats that f32 holds exactly, so that every backend gets the same. */
export function sampleData(sample: Sample, seed: number): Data[] {
  return sample.inputs.map(({ data, dtype, shape }, i) => {
    const size = sizeOf(shape);
    const random = Random.from(seed, i);
    const next = () => Math.fround(data === 'positive' ? random.range(0.5, 2) : random.normal());
    const values = typeof data === 'string' ? Array.from({ length: size }, next) : data;
    if (values.length !== size) throw new Error(`a sample of ${values.length} numbers for [${shape.join(',')}]`);
    if (dtype === 'i32') return Int32Array.from(values);
    return dtype === 'bool' ? Uint8Array.from(values) : Float64Array.from(values, Math.fround);
  });
}

/** The data as inputs x0, x1, … in host storage. */
export const hostInputs = (sample: Sample, data: readonly Data[]) =>
  Object.fromEntries(
    sample.inputs.map((type, i) => {
      const array = hostArray(type);
      array.set(data[i] as Data);
      return [`x${i}`, array];
    }),
  );

export const namedInputs = (data: readonly Data[]): Record<string, Data> =>
  Object.fromEntries(data.map((array, i) => [`x${i}`, array]));

/** Adds inputs x0, x1, … and the call; outputs are y0, y1, … */
export function callOf<G extends Graph>(graph: G, op: OpDef, sample: Sample) {
  const inputs = sample.inputs.map(({ shape, dtype }, i) => graph.input(`x${i}`, shape, dtype));
  const outputs = graph.apply(op, inputs, sample.attrs);
  return { graph, inputs, outputs };
}

/** The same with every output of the call an output of the program. */
export function programOf<G extends Graph>(graph: G, op: OpDef, sample: Sample): G {
  callOf(graph, op, sample).outputs.forEach((value, i) => {
    graph.output(`y${i}`, value);
  });
  return graph;
}

/** The oracle's outputs in float64. */
export const oracle = (graph: ExactGraph, data: readonly Data[]): Record<string, Data> =>
  createReferenceBackend().runFloat64(graph, namedInputs(data), graph.literals);

/** The largest difference as a part of the largest finite expected value; equal infinities and NaNs agree. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    if (Object.is(a, e) || a === e) {
      if (Number.isFinite(e)) scale = Math.max(scale, Math.abs(e));
      continue;
    }
    if (!Number.isFinite(a) || !Number.isFinite(e)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, Math.abs(a - e));
    scale = Math.max(scale, Math.abs(e));
  }
  return worst === 0 ? 0 : worst / (scale || 1);
}

/** The float inputs whose gradient is checked. */
export function differentiable(sample: Sample): number[] {
  return sample.inputs.flatMap(({ dtype }, i) => (isFloat(dtype) && !sample.noGrad?.includes(i) ? [i] : []));
}
