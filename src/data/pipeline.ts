// Rows through worker threads and back in order, with a bounded number under way.
import { availableParallelism } from 'node:os';
import type { Finished, InspectOptions } from './inspect.ts';
import type { Item, Source } from './source.ts';
import { openThreads, type Threads } from './threads.ts';
import type { Share } from './worker.ts';

/** A kill loses shares, passing them on costs time: the first are small, so that there is progress soon. */
const FIRST_ROWS = 8;
const SHARE_ROWS = 256;
const SHARE_BYTES = 1 << 20;
/** One at work and one that waits; and as many whose turn has not come. */
const SHARES_PER_THREAD = 4;

/** The threads that finish rows, as many as are worth starting for so many; by default one a core. */
export function openPool(rows: number, workers = availableParallelism()): Promise<Threads<Share, Finished[]>> {
  const threads = Math.min(workers, Math.ceil(rows / FIRST_ROWS));
  return openThreads(import.meta.url, 'worker', threads > 1 ? threads : 0, () => import('./worker.ts'));
}

/** Finishes the rows of a source from `from` up to `to`; yields shares in order. */
export function finishRows(
  source: Source,
  { from, to }: { from: number; to: number },
  pool: Threads<Share, Finished[]>,
  options: InspectOptions,
): AsyncGenerator<Finished[]> {
  const atOnce = pool.count === 1 ? 1 : pool.count * SHARES_PER_THREAD;
  return inOrder(shares(source, from, to, options), (share) => pool.run(share, buffersOf(share)), atOnce);
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
    if ('image' in item && typeof item.image !== 'string') bytes += item.image.length;
    const full = items.length === rows || bytes >= SHARE_BYTES || first + items.length === to;
    if (!full) continue;
    yield { items: packed(items, bytes), first, options };
    first += items.length;
    rows = Math.min(2 * rows, SHARE_ROWS);
    [items, bytes] = [[], 0];
    if (first === to) return;
  }
}

/** The items with the bytes of all their images in one buffer, which moves to a thread at once instead of being copied. */
function packed(items: readonly Item[], bytes: number): Item[] {
  const buffer = new Uint8Array(bytes);
  let at = 0;
  return items.map((item) => {
    if (!('image' in item) || typeof item.image === 'string') return item;
    buffer.set(item.image, at);
    at += item.image.length;
    return { ...item, image: buffer.subarray(at - item.image.length, at) };
  });
}

function buffersOf({ items }: Share): ArrayBuffer[] {
  for (const item of items)
    if ('image' in item && typeof item.image !== 'string') return [item.image.buffer as ArrayBuffer];
  return [];
}
