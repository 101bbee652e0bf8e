// Which matched points lie together: RANSAC over a shift and a scale, again on what is left, as CDM's evaluation.py does.
import { Random } from '../../shared/random.ts';

/** x and y of a matched token in both formulas. */
export interface PointPair {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

const SAMPLE = 2;
const TRIALS = 50;
const ROUNDS = 5;
/** 20 pixels of CDM's pictures, 12 pt at 200 dpi, in thousandths of an em. */
export const TOLERANCE = (1000 * 20 * 72.27) / (12 * 200);
/** A letter of the seed's key, so that no other drawing shares it. */
const STREAM = 0x626f7865;

/** For each pair whether it keeps its place, up to a common shift and scale: one of each round's. */
export function consistent(pairs: readonly PointPair[]): boolean[] {
  const kept = pairs.map(() => pairs.length <= SAMPLE);
  for (let round = 0; round < ROUNDS; round++) {
    const left = Array.from(pairs.keys()).filter((i) => !kept[i]);
    if (left.length <= SAMPLE) break;
    const best = largestGroup(
      left.map((i) => pairs[i]!),
      Random.from(STREAM, round),
    );
    if (best.length === 0) break;
    for (const k of best) kept[left[k]!] = true;
  }
  return kept;
}

/** The numbers of the most pairs that one transform explains; of two as many those that it explains more exactly. */
function largestGroup(pairs: readonly PointPair[], random: Random): number[] {
  const middle = mean(pairs.map(({ from }) => from));
  let best: number[] = [];
  let bestError = Infinity;
  for (const [i, j] of samples(pairs.length, random)) {
    const [a, b] = [pairs[i]!, pairs[j]!];
    const centre = [mean([a.from, b.from]), mean([a.to, b.to])] as const;
    const scale = distance(b.to, centre[1]) / (distance(b.from, centre[0]) + 1e-10);
    const shift = [centre[1][0] - centre[0][0], centre[1][1] - centre[0][1]] as const;
    const inside: number[] = [];
    let error = 0;
    for (const [k, { from, to }] of pairs.entries()) {
      // Scaled about the middle of all, as the reference does, not about that of the sample.
      const moved = [0, 1].map((axis) => scale * (from[axis]! - middle[axis]!) + middle[axis]! + shift[axis]!);
      const residual = distance(moved as [number, number], to);
      error += residual ** 2;
      if (residual < TOLERANCE) inside.push(k);
    }
    if (inside.length > best.length || (inside.length === best.length && error < bestError)) {
      best = inside;
      bestError = error;
    }
  }
  return best;
}

/** All pairs of numbers where there are no more than the trials, else as many drawn ones. */
function* samples(count: number, random: Random): Generator<[number, number]> {
  if ((count * (count - 1)) / 2 <= TRIALS) {
    for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) yield [i, j];
    return;
  }
  for (let trial = 0; trial < TRIALS; trial++) {
    const i = Math.floor(random.float() * count);
    const j = Math.floor(random.float() * (count - 1));
    yield [i, j >= i ? j + 1 : j];
  }
}

type Point = readonly [number, number];
const distance = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);
function mean(points: readonly Point[]): Point {
  const sum = (axis: 0 | 1): number => points.reduce((total, point) => total + point[axis], 0);
  return [sum(0) / points.length, sum(1) / points.length];
}
