// Cross-entropy of a linear head, in chunks of rows so that the logits are never all in memory. The gradients are made
// with the loss (Hsu et al. 2024, Liger), so that nothing is computed twice.
// h [M, H], w [V, H], targets i32 [M], weights f32 [M] → loss f32 [] = Σ weights·(lse − logit of the target), dh [M, H]
// and with weightGrad dw [V, H], both for a loss gradient of 1.
import type { OpDef, Value } from '../graph/graph.ts';
import { sizeOf, type TensorType } from '../graph/types.ts';
import { add } from './add.ts';
import { cast } from './cast.ts';
import { arity, dims, expect, expectInts, expectShape, floats, ints, normal, wide } from './checks.ts';
import { concat } from './concat.ts';
import { div } from './div.ts';
import { equal } from './equal.ts';
import { exp } from './exp.ts';
import { log } from './log.ts';
import { matmul } from './matmul.ts';
import { mul } from './mul.ts';
import { reduceMax } from './reduce_max.ts';
import { reduceSum } from './reduce_sum.ts';
import { reshape } from './reshape.ts';
import { sliceAxis } from './slice.ts';
import { sub } from './sub.ts';

type CrossEntropyAttrs = { chunk: number; weightGrad: boolean };

export const linearCrossEntropyOp: OpDef<CrossEntropyAttrs> = {
  name: 'linear_cross_entropy',
  infer(inputs, { chunk, weightGrad }) {
    arity(inputs, 4);
    const [h, w, targets, weights] = inputs as [TensorType, TensorType, TensorType, TensorType];
    const [rows, hidden] = dims(h, 2, 'h') as [number, number];
    expectShape(w, [dims(w, 2, 'w')[0]!, hidden], 'w');
    expectInts(targets, [rows], 'targets');
    expectShape(weights, [rows], 'weights');
    expect(Number.isInteger(chunk) && chunk > 0, `a positive chunk, got ${chunk}`);
    return [{ dtype: 'f32', shape: [] }, h, ...(weightGrad ? [w] : [])];
  },
  decompose([h, w, targets, weights], { chunk, weightGrad }) {
    const graph = h!.graph;
    const rows = h!.shape[0]!;
    const vocabulary = w!.shape[0]!;
    const index = graph.constant(
      Int32Array.from({ length: vocabulary }, (_, i) => i),
      [1, vocabulary],
      'i32',
    );
    let loss = graph.scalar(0);
    let dw: Value | null = null;
    const dh: Value[] = [];
    for (let start = 0; start < rows; start += chunk) {
      const end = Math.min(rows, start + chunk);
      const part = sliceAxis(h!, 0, start, end);
      const weight = reshape(sliceAxis(weights!, 0, start, end), [end - start, 1]);
      const hot = cast(equal(index, reshape(sliceAxis(targets!, 0, start, end), [end - start, 1])), 'f32');
      const logits = cast(matmul(part, w!, { transB: true }), 'f32'); // [chunk, V]
      const max = reduceMax(logits, [1], true);
      const e = exp(sub(logits, max));
      const total = reduceSum(e, [1], true);
      const nll = sub(add(log(total), max), reduceSum(mul(logits, hot), [1], true));
      loss = add(loss, reduceSum(mul(nll, weight), [0, 1]));
      const g = cast(mul(sub(div(e, total), hot), weight), h!.dtype);
      dh.push(matmul(g, w!));
      if (weightGrad) {
        const grad = matmul(g, part, { transA: true });
        dw = dw ? add(dw, grad) : grad;
      }
    }
    return [loss, concat(dh, 0), ...(dw ? [dw] : [])];
  },
  vjp({ outputs: [, dh, dw], grads: [grad], needs }) {
    const scaled = (x: Value) => mul(x, cast(grad!, x.dtype));
    if (needs[1] && !dw)
      throw new Error('linear_cross_entropy: the weight wants a gradient, so weightGrad must be true');
    return [needs[0] ? scaled(dh!) : null, needs[1] ? scaled(dw!) : null, null, null];
  },
  flops: ([h, w], _outputs, { weightGrad }) => (weightGrad ? 6 : 4) * sizeOf(h!.shape) * w!.shape[0]!,
  samples: [
    {
      inputs: [normal(5, 4), normal(7, 4), ints([5], [0, 6, 3, 3, 2]), wide(floats([5], [0.5, 0, 0.25, 0.25, 1]))],
      attrs: { chunk: 2, weightGrad: true },
      noGrad: [3],
    },
    {
      inputs: [normal(1, 4), normal(3, 4), ints([1], [2]), wide(floats([1], [1]))],
      attrs: { chunk: 8, weightGrad: false },
      noGrad: [1, 3],
    },
    // logits of tens of thousands, whose exponentials no float holds
    {
      inputs: [
        floats([3, 2], [300, -200, 150, 400, 0.5, 0.25]),
        floats([4, 2], [100, 50, -100, 25, 1, -1, 99.5, 51]),
        ints([3], [1, 0, 2]),
        wide(floats([3], [0.5, 0.25, 0.25])),
      ],
      attrs: { chunk: 2, weightGrad: true },
      noGrad: [3],
    },
    // a vocabulary, a width and a last chunk that are no multiple of a tile
    {
      inputs: [
        normal(9, 33),
        normal(131, 33),
        ints([9], [0, 130, 64, 63, 1, 2, 129, 7, 128]),
        wide(floats([9], [1, 1, 0, 1, 1, 1, 1, 0.5, 1])),
      ],
      attrs: { chunk: 4, weightGrad: true },
      noGrad: [0, 1, 3],
    },
  ],
};

/** The loss; `weightGrad` must be set when the head's weight is trained. */
export const linearCrossEntropy = (
  h: Value,
  w: Value,
  targets: Value,
  weights: Value,
  attrs: CrossEntropyAttrs,
): Value => h.graph.apply(linearCrossEntropyOp, [h, w, targets, weights], attrs)[0]!;
