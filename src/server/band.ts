// One metric as a chart wants it: the points of the visible span, thinned to buckets that keep their mean and their
// lowest and highest value, so that no spike is lost at any zoom.
import type { Series } from '../tracker/table.ts';

export const AXES = ['step', 'relative', 'time'] as const;
export type Axis = (typeof AXES)[number];

export interface Band {
  readonly x: readonly number[];
  readonly mean: readonly number[];
  /** null when every point is there as it is */
  readonly low: readonly number[] | null;
  readonly high: readonly number[] | null;
  /** points in the span, before thinning */
  readonly total: number;
  /** NaN and infinities in the span; they are left out of the other figures */
  readonly notFinite: number;
}

export interface Span {
  readonly axis: Axis;
  readonly from: number;
  readonly to: number;
  /** at most this many buckets */
  readonly points: number;
}

/** `start` is where relative time begins, in milliseconds; times on either time axis are in seconds. */
export function bandOf({ steps, times, values }: Series, start: number, { axis, from, to, points }: Span): Band {
  const at = (i: number): number => {
    if (axis === 'step') return steps[i] as number;
    return ((times[i] as number) - (axis === 'relative' ? start : 0)) / 1000;
  };
  const xs: number[] = [];
  const ys: number[] = [];
  let notFinite = 0;
  let total = 0;
  let sorted = true;
  for (let i = 0; i < values.length; i++) {
    const x = at(i);
    if (x < from || x > to) continue;
    total++;
    const y = values[i] as number;
    if (!Number.isFinite(y)) {
      notFinite++;
      continue;
    }
    if (xs.length > 0 && x < (xs[xs.length - 1] as number)) sorted = false;
    xs.push(x);
    ys.push(y);
  }
  if (!sorted) sortBoth(xs, ys);
  // A bucket takes as much room as two plain points.
  if (xs.length <= 2 * points) return { x: xs, mean: ys, low: null, high: null, total, notFinite };

  const x = new Array<number>(points);
  const mean = new Array<number>(points);
  const low = new Array<number>(points);
  const high = new Array<number>(points);
  for (let bucket = 0; bucket < points; bucket++) {
    const begin = Math.floor((bucket * xs.length) / points);
    const end = Math.floor(((bucket + 1) * xs.length) / points);
    let sum = 0;
    let least = Number.POSITIVE_INFINITY;
    let most = Number.NEGATIVE_INFINITY;
    for (let i = begin; i < end; i++) {
      const y = ys[i] as number;
      sum += y;
      if (y < least) least = y;
      if (y > most) most = y;
    }
    // The outermost buckets reach the outermost points, so that the curve spans what the run spans.
    const middle = bucket === 0 ? begin : bucket === points - 1 ? end - 1 : (begin + end) >> 1;
    x[bucket] = xs[middle] as number;
    mean[bucket] = sum / (end - begin);
    low[bucket] = least;
    high[bucket] = most;
  }
  return { x, mean, low, high, total, notFinite };
}

function sortBoth(xs: number[], ys: number[]): void {
  const order = xs.map((_, i) => i).sort((a, b) => (xs[a] as number) - (xs[b] as number));
  const [oldX, oldY] = [xs.slice(), ys.slice()];
  for (const [to, from] of order.entries()) {
    xs[to] = oldX[from] as number;
    ys[to] = oldY[from] as number;
  }
}
