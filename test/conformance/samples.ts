// The conformance suite's tools: seeded sample data, programs of one op call, and comparisons.
import type { Tensors } from '../../src/backends/contract.ts';
import { fromHost, toHost } from '../../src/backends/reference/host.ts';
import { createReferenceBackend, type Data } from '../../src/backends/reference/index.ts';
import { roundTo } from '../../src/backends/reference/kernel.ts';
import { Graph, type OpDef, type Sample, type Value } from '../../src/graph/graph.ts';
import { type DType, isFloat, sizeOf, type TensorType } from '../../src/graph/types.ts';
import { ops } from '../../src/ops/index.ts';
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

/** The sample in a narrower float format, but for what stays f32; null when that changes nothing. */
function narrowed(sample: Sample, dtype: 'bf16' | 'f16'): Sample | null {
  const inputs = sample.inputs.map((input) => (input.dtype === 'f32' && !input.wide ? { ...input, dtype } : input));
  return inputs.some((input, i) => input !== sample.inputs[i]) ? { ...sample, inputs } : null;
}

// float32 has an epsilon of 1.2e-7. The samples sum at most ~40 products of values of size ~3, so sums carry ~1e-6 of
// the largest output, and exp, erf and divisions by small variances multiply that by up to ten.
const FLOAT32 = 2e-5;
// A narrow format's last place is 2^-7 (bf16) or 2^-10 (f16) of a value. An op that computes in float32 and rounds once
// may land one place off the oracle.
const LAST_PLACE = { bf16: 2 ** -7, f16: 2 ** -10 };
// An op built from others rounds at each of them; scores that are rounded before exp weigh most, at a few places.
const BUILT = 8;
/** Every sample of every op. */
export const cases = Object.values(ops as Record<string, OpDef>).flatMap((op) =>
  op.samples.map((sample, i) => ({ title: `${op.name} #${i}`, op, sample, seed: i + 1 })),
);
/** The same in bf16 and f16, where that is another program. */
export const narrow = cases.flatMap(({ title, op, sample, seed }) =>
  (['bf16', 'f16'] as const).flatMap((format) => {
    const narrower = narrowed(sample, format);
    return narrower ? [{ title: `${title} ${format}`, op, sample: narrower, seed, format }] : [];
  }),
);

/**
 * How far off an output may be, of an op that is computed at once or built from others: what a built one gives in f32
 * has come through the inputs' narrower format too.
 */
export function toleranceOf({ dtype }: TensorType, sample: Sample, built: boolean): number {
  if (!isFloat(dtype)) return 0;
  const narrower = sample.inputs.map((input) => input.dtype).find((format) => format in LAST_PLACE);
  const format = built ? (narrower ?? dtype) : dtype;
  return format === 'f32' ? FLOAT32 : LAST_PLACE[format as keyof typeof LAST_PLACE] * (built ? BUILT : 1);
}

/** True when a backend of these float formats can run the program. */
export function isRunnable(graph: Graph, formats: readonly DType[]): boolean {
  const values = [...graph.inputs.values(), ...graph.nodes.flatMap((node) => node.outputs)];
  return values.every(({ dtype }) => !isFloat(dtype) || formats.includes(dtype));
}

/** Seeded data of an op's sample: values that their format holds exactly, so that every backend gets the same. */
export function sampleData(sample: Sample, seed: number): Data[] {
  return sample.inputs.map(({ data, dtype, shape }, i) => {
    const size = sizeOf(shape);
    const random = Random.from(seed, i);
    const next = () => Math.fround(data === 'positive' ? random.range(0.5, 2) : random.normal());
    const values = typeof data === 'string' ? Array.from({ length: size }, next) : data;
    if (values.length !== size) throw new Error(`a sample of ${values.length} numbers for [${shape.join(',')}]`);
    if (dtype === 'i32') return Int32Array.from(values);
    if (dtype === 'u8' || dtype === 'bool') return Uint8Array.from(values);
    return Float64Array.from(values, (x) => roundTo(dtype, Math.fround(x)));
  });
}

/** The data as inputs x0, x1, … in host storage. */
export const hostInputs = (sample: Sample, data: readonly Data[]): Tensors =>
  Object.fromEntries(sample.inputs.map((type, i) => [`x${i}`, toHost(type, data[i] as Data)]));

/** A program's outputs as numbers, whatever format they are stored in. */
export const numbersOf = (graph: Graph, outputs: Tensors): Record<string, Data> =>
  Object.fromEntries([...graph.outputs].map(([name, { type }]) => [name, fromHost(type, outputs[name]!)]));

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

/** The oracle's outputs: float64, but bf16 and f16 values rounded to their format. */
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
