// Products in whole numbers of 8 bits, scaled as LLM.int8() (Dettmers et al. 2022) scales its regular part: each row of the
// input by its own largest value, found at every run, and each row of the weight by its own, once.
import type { Graph, Node } from '../../graph/graph.ts';
import { liveNodes } from '../../passes/live.ts';
import { type Emitter, ONNX_TYPE } from './emitter.ts';

/**
 * Processors without VNNI add two products of a byte by a signed byte in 16 bits, which 2 × 255 × 64 fits and
 * 2 × 255 × 127 does not. The eighth bit made no difference to readings (docs/log.md).
 */
const WEIGHT_LIMIT = 64;
/** ONNX's code of signed bytes, which programs themselves do not have. */
const ONNX_INT8 = 3;
/** Inputs become bytes of 128 ± 127. */
const INPUT_ZERO = 128;
const INPUT_LIMIT = 127;
/** Shorter sums, such as those of LoRA's second product, would save nothing. */
const SHORTEST_SUM = 64;

/** A weight [N, K] as values · scales: values [K, N], for that is how they are multiplied, and scales [N]. */
export interface Int8Weight {
  readonly name: string;
  readonly values: Int8Array;
  readonly scales: Float32Array;
}

/** The products x [M, K] · weightᵀ that can be had in 8 bits, and the frozen state that is each one's weight. */
export function int8Products(graph: Graph, frozen: (state: string) => boolean): Map<Node, string> {
  const found = new Map<Node, string>();
  for (const node of liveNodes(graph)) {
    if (node.op.name !== 'matmul' || node.attrs.transA || !node.attrs.transB) continue;
    const weight = node.inputs[1]!;
    const { origin, dtype, shape } = weight;
    const fits = dtype === 'f32' && shape.length === 2 && shape[1]! >= SHORTEST_SUM;
    if (fits && origin.kind === 'state' && frozen(origin.name)) found.set(node, origin.name);
  }
  return found;
}

export function toInt8(name: string, weight: Float32Array, [n, k]: readonly [number, number]): Int8Weight {
  const [values, scales] = [new Int8Array(n * k), new Float32Array(n)];
  for (let row = 0; row < n; row++) {
    let largest = 0;
    for (let i = row * k; i < (row + 1) * k; i++) largest = Math.max(largest, Math.abs(weight[i]!));
    const steps = largest > 0 ? WEIGHT_LIMIT / largest : 0;
    scales[row] = largest / WEIGHT_LIMIT;
    // Math.round would take five times as long.
    for (let i = 0; i < k; i++) values[i * n + row] = Math.floor(weight[row * k + i]! * steps + 0.5);
  }
  return { name, values, scales };
}

/** Emits such products; an input that several of them have is brought to 8 bits once. */
export function int8Emitter(emit: Emitter) {
  const inputs = new Map<string, { bytes: string; scale: string }>();
  const node = (opType: string, from: string[], attributes = {}): string => emit.node(opType, from, 1, attributes)[0]!;
  const zero = (dims: number[]) =>
    emit.tensor(`int8.zero.${dims}`, dims, ONNX_TYPE.u8, new Uint8Array(dims[0] ?? 1).fill(INPUT_ZERO));
  const real = (value: number) => emit.tensor(`int8.${value}`, [], ONNX_TYPE.f32, Float32Array.of(value));

  /** x [M, K] as (bytes − 128) · scale, with scale [M, 1]. */
  const quantised = (x: string, rows: number) => {
    const found = inputs.get(x);
    if (found) return found;
    const largest = node('ReduceMax', [node('Abs', [x]), emit.ints([1])], { keepdims: 0 });
    const scales = node('Max', [node('Mul', [largest, real(1 / INPUT_LIMIT)]), real(1e-30)]); // a row of zeros has one too
    const bytes = node('QuantizeLinear', [x, scales, zero([rows])], { axis: 0 });
    const made = { bytes, scale: node('Unsqueeze', [scales, emit.ints([1])]) };
    inputs.set(x, made);
    return made;
  };

  return (
    { inputs: [input, weight] }: Node,
    x: string,
    { name, values, scales }: Int8Weight,
    outputs: string[],
  ): void => {
    const { bytes, scale } = quantised(x, input!.shape[0]!);
    const [n, k] = weight!.shape as [number, number];
    const [product] = emit.node(
      'MatMulIntegerToFloat',
      [
        bytes,
        emit.tensor(`int8.${name}`, [k, n], ONNX_INT8, values),
        real(1),
        emit.tensor(`int8.${name}.scale`, [n], ONNX_TYPE.f32, scales),
        zero([]),
      ],
      1,
      {},
      'com.microsoft',
    );
    emit.node('Mul', [product!, scale], outputs);
  };
}
