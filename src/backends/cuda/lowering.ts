// One lowering an op, in a table that must name every op: 'view' costs nothing (layout.ts), 'pointwise' goes into a fused
// kernel (pointwise.ts), 'products' become sums (items.ts), and the rest are steps of their own.
import type { Value } from '../../graph/graph.ts';
import { typeName } from '../../graph/types.ts';
import type { OpName } from '../../ops/index.ts';
import type { FusedOp, Item, ItemOp } from './item.ts';
import { literalOf } from './items.ts';
import type { Layout } from './layout.ts';
import { attention, attentionGrad, cachedAttention } from './lower/attention.ts';
import { fewRows } from './lower/few_rows.ts';
import { greedyChoice } from './lower/greedy.ts';
import { linearCrossEntropy } from './lower/loss.ts';
import { matmulSum } from './lower/matmul.ts';
import { layerNorm, layerNormGrad, rmsNorm, rmsNormGrad } from './lower/norm.ts';
import { type AdamwAttrs, adamwAll, sumOfSquares } from './lower/optimizer.ts';
import { concat, gatherRows, pad, reduce, rope, scatterAddRows, softmax } from './lower/rows.ts';
import { sampledChoice } from './lower/sampling.ts';
import { type Operand, pointwiseKernel, THREADS } from './pointwise.ts';
import { attentionSpans } from './spans.ts';
import { ceil, type Enqueuer, i, type Lowered, p, type Step } from './step.ts';
import { readsInPlace, type Unit } from './units.ts';
import { broadcastView, wholeView } from './view.ts';

// biome-ignore lint/suspicious/noExplicitAny: each lowering knows the attributes of its op
type Lowering = (attrs: any, lowered: Lowered) => Pick<Step, 'scratch' | 'kernels' | 'enqueue' | 'elementwise'>;

export const lowerings: Record<OpName, Lowering | 'view' | 'pointwise' | 'products'> = {
  adamw: (attrs: AdamwAttrs, { views, outputs }) => adamwAll(attrs, [{ inputs: views, outputs: outputs as Value[] }]),
  add: 'pointwise',
  attention,
  attention_grad: attentionGrad,
  broadcast_to: 'view',
  cached_attention: cachedAttention,
  cast: 'pointwise',
  concat,
  div: 'pointwise',
  dropout_mask: 'pointwise',
  equal: 'pointwise',
  erf: 'pointwise',
  exp: 'pointwise',
  gather_rows: gatherRows,
  gelu: 'pointwise',
  gelu_grad: 'pointwise',
  greedy_choice: greedyChoice,
  is_finite: 'pointwise',
  layer_norm: layerNorm,
  layer_norm_grad: layerNormGrad,
  less: 'pointwise',
  linear_cross_entropy: linearCrossEntropy,
  log: 'pointwise',
  matmul: 'products',
  maximum: 'pointwise',
  mul: 'pointwise',
  neg: 'pointwise',
  pad,
  reduce_max: reduce(true),
  reduce_sum: reduce(false),
  reshape: 'view',
  rms_norm: rmsNorm,
  rms_norm_grad: rmsNormGrad,
  rope,
  sampled_choice: sampledChoice,
  scatter_add_rows: scatterAddRows,
  select: 'pointwise',
  sigmoid: 'pointwise',
  slice: 'view',
  softmax,
  split: 'view',
  sqrt: 'pointwise',
  sub: 'pointwise',
  sum_of_squares: sumOfSquares,
  swiglu: 'pointwise',
  swiglu_grad: 'pointwise',
  transpose: 'view',
  uniform: 'pointwise',
};

const fused: Record<FusedOp, Lowering> = {
  attention_spans: attentionSpans,
  few_rows: fewRows,
  matmul_sum: matmulSum,
  turning_attention: cachedAttention,
};

/** Items of whose results only those are made that somebody reads. */
const SPARING: ReadonlySet<ItemOp> = new Set([
  'attention_grad',
  'layer_norm_grad',
  'linear_cross_entropy',
  'rms_norm_grad',
]);

/** `op(f32[2,3], …)`: what errors call a step. */
function labelOf(items: readonly Item[]): string {
  const [first] = items;
  const names =
    items.length > 4
      ? `${items.slice(0, 4).map(({ op }) => op)},… (${items.length} ops)`
      : items.map(({ op }) => op).join(',');
  return `${names}(${first!.inputs
    .slice(0, 4)
    .map((value) => typeName(value.type))
    .join(', ')})`;
}

/** Lowers a unit. */
export function lowerUnit(unit: Unit, layout: Layout, isRead: (value: Value) => boolean): Step {
  const [item] = unit.items as [Item];
  if (unit.pointwise) return lowerGroup(unit, layout, isRead);
  const views = item.inputs.map((input) => layout.viewOf(input));
  const outputs = item.outputs.map((out) => (isRead(out) || !SPARING.has(item.op) ? out : null));
  const lowering = { ...lowerings, ...fused }[item.op as Exclude<ItemOp, 'copy'>] as Lowering;
  const made = lowering(item.attrs, { views, outputs });
  const writes = outputs.filter((out) => out !== null);
  return { label: labelOf(unit.items), reads: views, writes, ...made };
}

function lowerGroup({ items, size }: Unit, layout: Layout, isRead: (value: Value) => boolean): Step {
  const own = new Set(items.flatMap((item) => item.outputs));
  const inside = (value: Value): Value | null => {
    const { root } = layout.viewOf(value);
    return own.has(root) && readsInPlace(layout.viewOf(value), size) ? root : null;
  };
  const operand = (item: Item, n: number): Operand => {
    const input = item.inputs[n]!;
    const literal = literalOf(input);
    const view = literal === null ? layout.viewOf(input) : wholeView(input);
    return { literal, view: broadcastView(view, shapeRead(item)) };
  };
  // What the group makes is written where an item outside the group reads it.
  const stores = [...own].filter((value) => isRead(value) && readOutside(value, items, layout));
  const body = pointwiseKernel(items, size, operand, inside, stores);
  return {
    label: labelOf(items),
    reads: body.loads,
    writes: stores,
    scratch: 0,
    elementwise: true,
    kernels: [body.kernel],
    enqueue(run: Enqueuer) {
      if (size === 0) return;
      const args = [
        ...body.loads.map((view) => p(run.at(view))),
        ...stores.map((value) => p(run.to(value))),
        ...body.keys.map((key) => i(key | 0)),
      ];
      run.launch(body.kernel, ceil(size, THREADS * body.width), THREADS, args);
    },
  };

  function readOutside(value: Value, group: readonly Item[], { readers }: Layout): boolean {
    return (readers.get(value) ?? []).some((reader) => reader === null || !group.includes(reader));
  }
}

/** The shape whose elements an elementwise item runs over. */
const shapeRead = (item: Item): readonly number[] => item.outputs[0]!.shape;
