// Attention, its gradient and one decoding step of it: which kernels, and their arguments by role (attention.ts).
import type { Value } from '../../../graph/graph.ts';
import {
  type AttentionShape,
  attentionGradLaunches,
  attentionLaunch,
  cachedAttentionLaunch,
  type KernelLaunch,
} from '../attention.ts';
import type { Argument, Pointer } from '../ffi/driver.ts';
import { kernelOf } from '../kernels.ts';
import { type Enqueuer, f, i, type Lowered, p } from '../step.ts';
import type { View } from '../view.ts';

export type AttentionAttrs = { row: number; causal: boolean; scale: number };

export function launch(
  run: Enqueuer,
  made: KernelLaunch,
  pointers: Readonly<Record<string, Pointer>>,
  waits = false,
): void {
  const { sources, macros, kernel, grid, block, shared, args } = made;
  const packed = args.map((arg): Argument => {
    if ('tensor' in arg) return p(pointers[arg.tensor]!);
    return 'i32' in arg ? i(arg.i32) : f(arg.f32);
  });
  run.launch({ ...kernelOf(sources, kernel, macros, shared), waits }, grid, block[0], packed);
}

/** Elements from one token to the next; of a single token it does not matter. */
const rowOf = (view: View): number =>
  view.shape[0] === 1 ? view.shape[1]! * view.shape[2]! : (view.strides[0] as number);

export function shapeOf(q: View, k: View, v: View, { row, causal, scale }: AttentionAttrs): AttentionShape {
  const [tokens, heads, width] = q.shape as [number, number, number];
  const strides = { q: rowOf(q), k: rowOf(k), v: rowOf(v) };
  return { dtype: q.root.dtype, tokens, heads, kvHeads: k.shape[1]!, width, row, causal, scale, strides };
}

export const attention = (attrs: AttentionAttrs, { views, outputs: [out, lse] }: Lowered) => {
  const [q, k, v, segments, spans] = views as [View, View, View, View, View | undefined];
  const shape = shapeOf(q, k, v, attrs);
  return {
    scratch: 0,
    enqueue(run: Enqueuer) {
      const inputs = { q: run.at(q), k: run.at(k), v: run.at(v), segments: run.at(segments) };
      launch(run, attentionLaunch(shape), {
        ...inputs,
        spans: spans ? run.at(spans) : 0,
        out: run.to(out!),
        lse: run.to(lse!),
      });
    },
  };
};

export const attentionGrad = (attrs: AttentionAttrs, { views, outputs }: Lowered) => {
  const [dout, q, k, v, segments, out, lse] = views as [View, View, View, View, View, View, View];
  const spans = views[7];
  const shape = shapeOf(q, k, v, attrs);
  const size = q.root.dtype === 'f32' ? 4 : 2;
  const bytes = {
    dq: shape.tokens * shape.heads * shape.width * size,
    dk: shape.tokens * shape.kvHeads * shape.width * size,
  };
  const align = (n: number) => Math.ceil(n / 256) * 256;
  // The kernels write all three gradients; those that nobody reads go into scratch, behind delta.
  const delta = align(shape.tokens * shape.heads * 4);
  const spare = outputs.some((gradient) => gradient === null) ? align(bytes.dq) + 2 * align(bytes.dk) : 0;
  return {
    scratch: delta + spare,
    enqueue(run: Enqueuer) {
      const spares = [delta, delta + align(bytes.dq), delta + align(bytes.dq) + align(bytes.dk)];
      const to = (gradient: Value | null | undefined, n: number) =>
        gradient ? run.to(gradient) : run.scratch + spares[n]!;
      const pointers = {
        ...{ dout: run.at(dout), q: run.at(q), k: run.at(k), v: run.at(v), segments: run.at(segments) },
        ...{ spans: spans ? run.at(spans) : 0, out: run.at(out), lse: run.at(lse), delta: run.scratch },
        ...{ dq: to(outputs[0], 0), dk: to(outputs[1], 1), dv: to(outputs[2], 2) },
      };
      for (const made of attentionGradLaunches(shape)) launch(run, made, pointers);
    },
  };
};

/** The cached rows and the new one; with cosines and sines, q and the new k are turned first and the new row is written. */
export const cachedAttention = ({ scale }: { scale: number }, { views, outputs: [out] }: Lowered) => {
  const [q, kNew, vNew, kCache, vCache, lengths, cosines, sines] = views as View[];
  const [batch, heads, width] = q!.shape as [number, number, number];
  const [, kvHeads, capacity] = kCache!.shape as [number, number, number, number];
  const made = cachedAttentionLaunch({
    ...{ dtype: q!.root.dtype, batch, heads, kvHeads, width, capacity, scale },
    turn: cosines !== undefined,
    states: [kCache, vCache, lengths].every((view) => view!.root.origin.kind !== 'node'),
  });
  return {
    scratch: made.partialBytes,
    enqueue(run: Enqueuer) {
      const at = (view: View | undefined) => (view ? run.at(view) : 0);
      const pointers = {
        ...{ q: at(q), kNew: at(kNew), vNew: at(vNew), kCache: at(kCache), vCache: at(vCache), lengths: at(lengths) },
        ...{ cosines: at(cosines), sines: at(sines), out: run.to(out!), partials: run.scratch },
        arrivals: run.table(Buffer.alloc(made.arrivals * 4)),
      };
      launch(run, made, pointers, true);
    },
  };
};
