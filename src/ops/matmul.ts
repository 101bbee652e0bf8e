// Matrix products: a [..., M, K] (or [..., K, M] when transA) · b [..., K, N] (or [..., N, K] when transB).
// Batch dimensions are equal. Accumulates in float32 at least.
import { call, type OpDef, type Value } from '../graph/graph.ts';
import { sameShape, sizeOf, type TensorType, typeName } from '../graph/types.ts';
import { arity, expect, normal } from './checks.ts';

type MatmulAttrs = { transA: boolean; transB: boolean };

function sizes(a: TensorType, b: TensorType, { transA, transB }: MatmulAttrs) {
  const [am, ak] = a.shape.slice(-2) as [number, number];
  const [bk, bn] = b.shape.slice(-2) as [number, number];
  return { m: transA ? ak : am, k: transA ? am : ak, bk: transB ? bn : bk, n: transB ? bk : bn };
}

export const matmulOp: OpDef<MatmulAttrs> = {
  name: 'matmul',
  infer(inputs, attrs) {
    arity(inputs, 2);
    const [a, b] = inputs as [TensorType, TensorType];
    const batch = a.shape.slice(0, -2);
    expect(
      a.shape.length >= 2 &&
        a.shape.length === b.shape.length &&
        sameShape(batch, b.shape.slice(0, -2)) &&
        a.dtype === b.dtype,
      `two matrices with equal batch dimensions and dtype, got ${typeName(a)} and ${typeName(b)}`,
    );
    const { m, k, bk, n } = sizes(a, b, attrs);
    expect(
      k === bk,
      `inner dimensions that agree (transA ${attrs.transA}, transB ${attrs.transB}), got ${typeName(a)} and ${typeName(b)}`,
    );
    return [{ dtype: a.dtype, shape: [...batch, m, n] }];
  },
  vjp({ inputs: [a, b], grads: [g], attrs: { transA, transB }, needs }) {
    const da = () => (transA ? matmul(b!, g!, { transA: transB, transB: true }) : matmul(g!, b!, { transB: !transB }));
    const db = () => (transB ? matmul(g!, a!, { transA: true, transB: transA }) : matmul(a!, g!, { transA: !transA }));
    return [needs[0] ? da() : null, needs[1] ? db() : null];
  },
  flops([a, b], [out], attrs) {
    return 2 * sizeOf(out!.shape) * sizes(a!, b!, attrs).k;
  },
  samples: [
    { inputs: [normal(3, 4), normal(4, 5)], attrs: { transA: false, transB: false } },
    { inputs: [normal(4, 3), normal(5, 4)], attrs: { transA: true, transB: true } },
    { inputs: [normal(1, 4), normal(5, 4)], attrs: { transA: false, transB: true } },
    { inputs: [normal(2, 3, 4, 5), normal(2, 3, 5, 1)], attrs: { transA: false, transB: false } },
    { inputs: [normal(2, 4, 3), normal(2, 4, 5)], attrs: { transA: true, transB: false } },
    { inputs: [normal(2, 17, 33), normal(2, 19, 33)], attrs: { transA: false, transB: true } },
    { inputs: [normal(1, 1), normal(1, 1)], attrs: { transA: false, transB: false } },
    { inputs: [normal(1, 3), normal(1, 2)], attrs: { transA: true, transB: false } },
    { inputs: [normal(65, 67), normal(67, 130)], attrs: { transA: false, transB: false }, noGrad: [0, 1] },
  ],
};

export const matmul = (a: Value, b: Value, { transA = false, transB = false }: Partial<MatmulAttrs> = {}): Value =>
  call(matmulOp, [a, b], { transA, transB });
