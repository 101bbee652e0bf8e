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

/** So long a row's attention costs about as much as the products over it, in the shape of the bundled base. */
const COSTLY_ROW = 1024;

/** Places spans, longest first, in rows of the length that makes the least work, of `least` or more. */
function packRows(spans: readonly number[], least: number) {
  const sizes = spans.map((tokens) => ({ tokens, labels: 0, images: [] }));
  const order = Array.from(spans.keys()).sort((a, b) => spans[b]! - spans[a]!);
  const packed = (row: number) => {
    const roomy = { tokens: spans.length * row, row, patches: 0, patchRow: 1, labels: 0 };
    const placements = pack(order, sizes, roomy).flat();
    const used = Math.max(...placements.map(({ start }) => Math.floor(start / row) + 1));
    const length = row * sizeClass(used, 8);
    return { row, length, cost: length * (COSTLY_ROW + row), placements };
  };
  const longest = spans[order[0]!]!;
  // A long row is worth a program more.
  const rows = [1, 1.5, 2, 3].map((times) => sizeClass(times * longest, times * longest > 256 ? 4 : 2, least));
  const { row, length, placements } = rows.map(packed).reduce((best, one) => (one.cost < best.cost ? one : best));
  return { row, length, placements: spans.map((_, i) => placements.find(({ sample }) => sample === i)!) };
}

/** Texts and images each in rows of their own; the rows are of few lengths, so that few programs are compiled. */
export function packPrompts(
  prompts: readonly EncodedSample[],
  mergeArea: number,
): { bucket: Bucket; placed: PlacedSample[] } {
  const text = packRows(
    prompts.map(({ ids }) => ids.length),
    16,
  );
  const images = prompts.flatMap((prompt) => prompt.images.map(({ grid: [t, h, w] }) => t * h * w));
  const pictures = images.length > 0 ? packRows(images, 8 * mergeArea) : { row: mergeArea, length: 0, placements: [] };
  let image = 0;
  return {
    bucket: { tokens: text.length, row: text.row, patches: pictures.length, patchRow: pictures.row, labels: 0 },
    placed: prompts.map((prompt, i) => ({
      ...text.placements[i]!,
      sample: { ...prompt, labelStart: prompt.ids.length },
      patchStarts: prompt.images.map(() => pictures.placements[image++]!.start),
    })),
  };
}
