// Many tensors in one launch (kernels/optimizer.cu): AdamW of all parameters, the sum of all squares, casts of weights.
import type { Value } from '../../../graph/graph.ts';
import { bytesOf, sizeOf } from '../../../graph/types.ts';
import { type Kernel, kernel } from '../kernels.ts';
import { type Enqueuer, f, i, type Lowered, p } from '../step.ts';
import type { View } from '../view.ts';

const CHUNK = 8192;
const THREADS = 256;
const ENTRY_BYTES = 40;

export interface TensorEntry {
  readonly p: number;
  readonly m: number;
  readonly v: number;
  readonly g: number;
  readonly count: number;
}

const chunksOf = (counts: readonly number[]): number =>
  counts.reduce((sum, count) => sum + Math.ceil(count / CHUNK), 0);

/** The tables of tensors and chunks, and how many blocks they ask for. */
export function tables(
  run: Enqueuer,
  entries: readonly TensorEntry[],
): { tensors: number; chunks: number; blocks: number } {
  const blocks = chunksOf(entries.map(({ count }) => count));
  const tensors = Buffer.alloc(entries.length * ENTRY_BYTES);
  const chunks = Buffer.alloc(blocks * 8);
  let at = 0;
  entries.forEach((entry, n) => {
    [entry.p, entry.m, entry.v, entry.g, entry.count].forEach((word, k) => {
      tensors.writeBigUInt64LE(BigInt(word), n * ENTRY_BYTES + 8 * k);
    });
    for (let start = 0; start < entry.count; start += CHUNK, at += 8) {
      chunks.writeUInt32LE(n, at);
      chunks.writeUInt32LE(start, at + 4);
    }
  });
  return { tensors: run.table(tensors), chunks: run.table(chunks), blocks };
}

export type AdamwAttrs = { beta1: number; beta2: number; eps: number; weightDecay: number };

/** One AdamW update of several parameters that share its scalars. */
export function adamwAll(
  attrs: AdamwAttrs,
  updates: readonly { readonly inputs: readonly View[]; readonly outputs: readonly Value[] }[],
) {
  const scalars = updates[0]!.inputs.slice(4);
  return {
    scratch: 0,
    elementwise: true,
    enqueue(run: Enqueuer) {
      const entries = updates.map(({ inputs: [param, g, m, v], outputs }) => {
        // The kernel works in place; where a result has a place of its own, what it starts from goes there first.
        [param!, m!, v!].forEach((view, n) => {
          const [from, to] = [run.at(view), run.to(outputs[n]!)];
          if (from !== to) run.copy(to, from, bytesOf(outputs[n]!.type));
        });
        const [p1, m1, v1] = outputs.map((out) => run.to(out)) as [number, number, number];
        return { p: p1, m: m1, v: v1, g: run.at(g!), count: sizeOf(param!.shape) };
      });
      const { tensors, chunks, blocks } = tables(run, entries);
      const rates = [f(attrs.beta1), f(attrs.beta2), f(attrs.eps), f(attrs.weightDecay)];
      const args = [p(tensors), p(chunks), ...scalars.map((view) => p(run.at(view))), ...rates];
      run.launch(kernel('optimizer', 'adamw'), blocks, THREADS, args);
    },
  };
}

export const sumOfSquares = (_attrs: unknown, { views, outputs: [out] }: Lowered) => {
  const blocks = chunksOf(views.map(({ shape }) => sizeOf(shape)));
  return {
    scratch: blocks * 4,
    enqueue(run: Enqueuer) {
      const entries = views.map((view) => ({ p: 0, m: 0, v: 0, g: run.at(view), count: sizeOf(view.shape) }));
      const { tensors, chunks } = tables(run, entries);
      run.launch(kernel('optimizer', 'sum_of_squares'), blocks, THREADS, [p(tensors), p(chunks), p(run.scratch)]);
      run.launch(kernel('optimizer', 'sum_parts'), 1, THREADS, [p(run.scratch), p(run.to(out!)), i(blocks)]);
    },
  };
};

const NARROW: () => Kernel = () => kernel('optimizer', 'narrow');

/** Casts several float32 values to bfloat16. */
export const narrowAll = (casts: readonly { readonly from: View; readonly to: Value }[]) => ({
  scratch: 0,
  enqueue(run: Enqueuer) {
    const entries = casts.map(({ from, to }) => ({
      p: run.to(to),
      m: 0,
      v: 0,
      g: run.at(from),
      count: sizeOf(from.shape),
    }));
    const { tensors, chunks, blocks } = tables(run, entries);
    run.launch(NARROW(), blocks, THREADS, [p(tensors), p(chunks)]);
  },
});
