// Packs samples into batches of a fixed token, patch and label budget. A sample never crosses a packing row, an image
// never crosses a vision row, and nothing is ever cut.
import type { Bucket } from './programs.ts';

/** What one sample takes. */
export interface SampleSize {
  readonly tokens: number;
  readonly labels: number;
  /** patches of each of its images */
  readonly images: readonly number[];
}

/** Where one sample of a batch lies. */
export interface Placement {
  /** index into the samples given */
  readonly sample: number;
  /** first token */
  readonly start: number;
  /** 1 and up within its row; 0 is padding */
  readonly segment: number;
  /** first patch of each image */
  readonly patchStarts: readonly number[];
}

/** Why a sample can never fit a bucket, or null when it does. */
export function misfit(size: SampleSize, bucket: Bucket): string | null {
  const { row, longest = row } = bucket;
  if (size.tokens > longest) return `${size.tokens} tokens, more than the ${longest} of a row`;
  const image = size.images.find((patches) => patches > bucket.patchRow);
  if (image !== undefined) return `an image of ${image} patches, more than the ${bucket.patchRow} of a vision row`;
  if (size.labels > bucket.labels) return `${size.labels} label tokens, more than the ${bucket.labels} of a batch`;
  if (new VisionRows(bucket).add(size.images)) return null;
  return `images of ${size.images.join(' + ')} patches, more than the ${bucket.patches} of a batch hold in rows of ${bucket.patchRow}`;
}

/** First-fit of images over the vision rows of one run of the tower. */
export class VisionRows {
  private fill: readonly number[];

  constructor(private readonly bucket: Pick<Bucket, 'patches' | 'patchRow'>) {
    this.fill = new Array<number>(bucket.patches > 0 ? bucket.patches / bucket.patchRow : 0).fill(0);
  }

  /** The first patch of each image; null, and nothing has changed, where they do not all fit. */
  add(images: readonly number[]): number[] | null {
    const { patchRow } = this.bucket;
    const fill = this.fill.slice();
    const starts: number[] = [];
    for (const patches of images) {
      const at = fill.findIndex((used) => used + patches <= patchRow);
      if (at < 0) return null;
      starts.push(at * patchRow + fill[at]!);
      fill[at]! += patches;
    }
    this.fill = fill;
    return starts;
  }

  /** The end of the last image. */
  get end(): number {
    const last = this.fill.findLastIndex((used) => used > 0);
    return last < 0 ? 0 : last * this.bucket.patchRow + this.fill[last]!;
  }
}

/** First-fit over the rows of one open batch. */
class OpenBatch {
  readonly placements: Placement[] = [];
  private readonly rowFill: number[];
  private readonly rowSegments: number[];
  private readonly visionRows: VisionRows;
  private labels = 0;

  constructor(private readonly bucket: Bucket) {
    const rows = bucket.tokens / bucket.row;
    this.rowFill = new Array<number>(rows).fill(0);
    this.rowSegments = new Array<number>(rows).fill(0);
    this.visionRows = new VisionRows(bucket);
  }

  add(sample: number, size: SampleSize): boolean {
    const { bucket } = this;
    const row = this.rowFill.findIndex((fill) => fill + size.tokens <= bucket.row);
    if (row < 0 || this.labels + size.labels > bucket.labels) return false;
    const patchStarts = this.visionRows.add(size.images);
    if (!patchStarts) return false;
    const start = row * bucket.row + this.rowFill[row]!;
    this.rowFill[row]! += size.tokens;
    this.labels += size.labels;
    this.placements.push({ sample, start, segment: ++this.rowSegments[row]!, patchStarts });
    return true;
  }
}

/** Batches that are open at once. Of 380 formulas in batches of 2016 tokens four leave 8 % empty, one leaves 14 %. */
const OPEN = 4;

/** Packs samples in about the given order: each goes to the first open batch that takes it. */
export function pack(order: readonly number[], sizes: readonly SampleSize[], bucket: Bucket): Placement[][] {
  const batches: Placement[][] = [];
  const open: OpenBatch[] = [];
  for (const sample of order) {
    const size = sizes[sample] as SampleSize;
    if (open.some((batch) => batch.add(sample, size))) continue;
    const reason = misfit(size, bucket);
    if (reason) throw new Error(`sample ${sample} does not fit: ${reason}`);
    if (open.length === OPEN) batches.push((open.shift() as OpenBatch).placements);
    const fresh = new OpenBatch(bucket);
    if (!fresh.add(sample, size)) throw new Error(`sample ${sample} does not fit an empty batch`);
    open.push(fresh);
  }
  return [...batches, ...open.map((batch) => batch.placements)];
}

/**
 * Sizes of a bucket for a data set: the row holds its longest sample, the patch and label budgets follow its averages
 * with room to spare, so that tokens run out first.
 * @param rowTokens tokens of a sample at most
 * @param oneRow all of a batch is one row, which wastes least: for backends whose attention does not pay for long rows
 */
export function chooseBucket(
  sizes: readonly SampleSize[],
  batchTokens: number,
  rowTokens: number,
  mergeArea: number,
  oneRow = false,
): Bucket {
  const up = (n: number, multiple: number) => Math.ceil(n / multiple) * multiple;
  // Not Math.max(...), which takes no more arguments than the stack has room for.
  const most = (of: readonly SampleSize[], f: (s: SampleSize) => number) => of.reduce((m, s) => Math.max(m, f(s)), 0);
  const mostTokens = most(sizes, (s) => s.tokens);
  const longest = Math.min(up(mostTokens, 16), rowTokens);
  const tokens = oneRow
    ? up(Math.max(batchTokens, longest), 64)
    : Math.max(1, Math.round(batchTokens / longest)) * longest;
  const row = oneRow ? { row: tokens, longest } : { row: longest };
  const fitting = sizes.filter((s) => s.tokens <= longest);
  const total = (f: (s: SampleSize) => number) => fitting.reduce((sum, s) => sum + f(s), 0);
  const share =
    tokens /
    Math.max(
      1,
      total((s) => s.tokens),
    );
  const largest = most(fitting, (s) => Math.max(0, ...s.images));
  const ROOM = 1.05;
  const labels = up(
    Math.max(
      most(fitting, (s) => s.labels),
      Math.min(tokens, total((s) => s.labels) * share * ROOM),
    ),
    16,
  );
  const patchRow = up(Math.max(largest, 1), 16 * mergeArea);
  const wanted = total((s) => s.images.reduce((a, b) => a + b, 0)) * share * ROOM;
  const patches = largest === 0 ? 0 : up(Math.max(most(fitting, (s) => s.images.length) * patchRow, wanted), patchRow);
  return { tokens, ...row, patches, patchRow, labels };
}
