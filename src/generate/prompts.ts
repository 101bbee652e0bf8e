// Packs the prompts of a generating batch for prefill: short ones share rows, so that little is computed for padding,
// and sizes are rounded up to few, so that few programs are compiled.
import type { EncodedSample, PlacedSample } from '../models/qwen2_vl/batch.ts';
import { pack } from '../models/qwen2_vl/packing.ts';
import type { Bucket, CacheSize } from '../models/qwen2_vl/programs.ts';

/** n rounded up to one of `steps` sizes between each power of two and the next, and to `least` or more. */
export function sizeClass(n: number, steps: number, least = 1): number {
  const step = Math.max(1, 2 ** Math.floor(Math.log2(n)) / steps);
  return Math.max(least, step * Math.ceil(n / step));
}

/** Caches for these prompts and `room` tokens more, and how many of a sequence's places their prefill fills. */
export function cacheFor(prompts: readonly EncodedSample[], room: number): { cache: CacheSize; filled: number } {
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  const batch = 2 ** Math.ceil(Math.log2(prompts.length));
  const length = sizeClass(longest + room, 2, 64);
  return { cache: { batch, length }, filled: Math.min(length, sizeClass(longest, 2, 32)) };
}

const TEXT_ROW = 128;
/** Attention looks at the whole row's segments, so long rows are not for their own sake. */
const MOST_SHARED_PATCHES = 2048;

/** Longest first, each into the first rows with room. */
export function packPrompts(
  prompts: readonly EncodedSample[],
  mergeArea: number,
): { bucket: Bucket; placed: PlacedSample[] } {
  const sizes = prompts.map((prompt) => ({
    tokens: prompt.ids.length,
    labels: 0,
    images: prompt.images.map(({ grid: [t, h, w] }) => t * h * w),
  }));
  const order = Array.from(sizes.keys()).sort((a, b) => sizes[b]!.tokens - sizes[a]!.tokens);
  const images = sizes.flatMap((size) => size.images);
  const longest = Math.max(...sizes.map((size) => size.tokens));
  const row = sizeClass(longest, 2, prompts.length > 1 ? TEXT_ROW : 32);
  const rows = (starts: readonly number[], size: number) =>
    size * sizeClass(1 + Math.max(...starts.map((start) => Math.floor(start / size))), 8);
  /** Packed with rows for `together` of the largest image. */
  const packed = (together: number) => {
    const patchRow = sizeClass(together * Math.max(1, ...images), 4, 16 * mergeArea);
    const roomy = { tokens: prompts.length * row, row, patches: images.length * patchRow, patchRow, labels: 0 };
    const placements = pack(order, sizes, roomy).flat();
    const starts = placements.map(({ start }) => start);
    const patchStarts = placements.flatMap((placement) => placement.patchStarts);
    const patches = images.length > 0 ? rows(patchStarts, patchRow) : 0;
    return { bucket: { ...roomy, tokens: rows(starts, row), patches }, placements };
  };
  const wider = [2, 3, 4].map(packed).filter(({ bucket }) => bucket.patchRow <= MOST_SHARED_PATCHES);
  const { bucket, placements } = [packed(1), ...wider].reduce((best, one) =>
    one.bucket.patches < best.bucket.patches ? one : best,
  );
  return {
    bucket,
    placed: prompts.map((prompt, i) => ({
      ...placements.find(({ sample }) => sample === i)!,
      sample: { ...prompt, labelStart: prompt.ids.length },
    })),
  };
}
