// Rows through worker threads and back in order, with a bounded number under way.
import { availableParallelism } from 'node:os';
import type { Finished, InspectOptions } from './inspect.ts';
import type { Item, Source } from './source.ts';
import { openThreads } from './threads.ts';
import type { Share } from './worker.ts';

/** A kill loses shares, passing them on costs time: the first are small, so that there is progress soon. */
const FIRST_ROWS = 8;
const SHARE_ROWS = 64;
const SHARE_BYTES = 1 << 20;
/** One at work and one that waits; and as many whose turn has not come. */
const SHARES_PER_THREAD = 4;

/** Finishes the rows of a source from `from` up to `to`; yields shares in order. */
export async function* finishRows(
  source: Source,
  { from, to, workers = availableParallelism() }: { from: number; to: number; workers?: number },
  options: InspectOptions,
): AsyncGenerator<Finished[]> {
  const wanted = Math.max(1, Math.min(workers, Math.ceil((to - from) / FIRST_ROWS)));
  const threads = await openThreads<Share, Finished[]>(
    import.meta.url,
    'worker',
    wanted === 1 ? 0 : wanted,
    () => import('./worker.ts'),
  );
  const atOnce = threads.count === 1 ? 1 : threads.count * SHARES_PER_THREAD;
  try {
    yield* inOrder(shares(source, from, to, options), (share) => threads.run(share, buffersOf(share)), atOnce);
  } finally {
    await threads.close();
  }
}

/** Results in the order of the tasks, of which `atOnce` at most are under way. */
export async function* inOrder<T, R>(
  tasks: AsyncIterable<T>,
  run: (task: T) => Promise<R>,
  atOnce: number,
): AsyncGenerator<R> {
  const pending: Promise<R>[] = [];
  try {
    for await (const task of tasks) {
      const result = run(task);
      result.catch(() => {}); // it is thrown where it is awaited, in its turn
      pending.push(result);
      if (pending.length >= atOnce) yield await pending.shift()!;
    }
    while (pending.length > 0) yield await pending.shift()!;
  } finally {
    await Promise.allSettled(pending);
  }
}

async function* shares(source: Source, from: number, to: number, options: InspectOptions): AsyncGenerator<Share> {
  let items: Item[] = [];
  let bytes = 0;
  let first = from;
  let rows = FIRST_ROWS;
  for await (const item of source.rows(from)) {
    items.push(item);
    if ('image' in item) bytes += item.image.length;
    const full = items.length === rows || bytes >= SHARE_BYTES || first + items.length === to;
    if (!full) continue;
    yield { items, first, options };
    first += items.length;
    rows = Math.min(2 * rows, SHARE_ROWS);
    [items, bytes] = [[], 0];
    if (first === to) return;
  }
}

/** What moves to the thread instead of being copied; several rows may share one image. */
function buffersOf({ items }: Share): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const item of items)
    if ('image' in item && typeof item.image !== 'string') {
      const { buffer, byteLength } = item.image;
      // Part of a larger buffer (a pool's) is copied, or the rest of it would be gone.
      if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffers.add(buffer);
    }
  return [...buffers];
}
