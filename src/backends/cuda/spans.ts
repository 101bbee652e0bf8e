// The spans that attention on tensor cores reads (attention_spans.cu) are made once from each batch's segment ids, and
// read by all layers, forwards and backwards.
import type { Graph, Value } from '../../graph/graph.ts';
import { attentionSpansLaunch, onTensorCores } from './attention.ts';
import type { Item } from './item.ts';
import { freshValue } from './items.ts';
import { type Layout, readersOf } from './layout.ts';
import { type AttentionAttrs, launch, shapeOf } from './lower/attention.ts';
import type { Enqueuer, Lowered } from './step.ts';

/** The layout with spans in front of the first attention that reads them, and as the last input of each that does. */
export function shareSpans(graph: Graph, layout: Layout): Layout {
  const { viewOf } = layout;
  const spans = new Map<string, Value>();
  const items = layout.items.flatMap((item): Item[] => {
    if (item.op !== 'attention' && item.op !== 'attention_grad') return [item];
    const [q, k, v, segments] = item.inputs.slice(item.op === 'attention' ? 0 : 1) as [Value, Value, Value, Value];
    const attrs = item.attrs as AttentionAttrs;
    if (!onTensorCores(shapeOf(viewOf(q), viewOf(k), viewOf(v), attrs))) return [item];
    const { root, offset } = viewOf(segments);
    const key = `${root.id} ${offset} ${attrs.row}`;
    const known = spans.get(key);
    const made = known ?? freshValue(graph, { dtype: 'i32', shape: [segments.shape[0]!, 2] });
    spans.set(key, made);
    const reader = { ...item, inputs: [...item.inputs, made] };
    if (known) return [reader];
    return [{ op: 'attention_spans', attrs: { row: attrs.row }, inputs: [segments], outputs: [made] }, reader];
  });
  return { ...layout, items, readers: readersOf({ ...layout, items }) };
}

export const attentionSpans = ({ row }: { row: number }, { views: [segments], outputs: [spans] }: Lowered) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const made = attentionSpansLaunch({ tokens: segments!.shape[0]!, row });
    launch(run, made, { segments: run.at(segments!), spans: run.to(spans!) });
  },
});
