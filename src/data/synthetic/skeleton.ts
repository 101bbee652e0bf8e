// A glyph's centre lines, what a pen would draw: the outline is rasterised, thinned, traced into
// polylines, rid of short spurs and smoothed. A font has few glyphs.
import type { Points } from './geometry.ts';
import { type Outline, outlineOf } from './outline.ts';
import { Canvas } from './raster.ts';

/** Pixels to a font unit. */
const SCALE = 0.09;
/** Spurs shorter than this (pixels) are artefacts of thinning. */
const SPUR = 5;

const skeletons: (readonly Points[] | undefined)[] = [];

/** Open polylines in the glyph's units; a dot is a line of one point. They are kept. */
export function skeletonOf(glyph: number): readonly Points[] {
  skeletons[glyph] ??= trace(outlineOf(glyph));
  return skeletons[glyph];
}

function trace({ points, ends, box }: Outline): Points[] {
  if (!(box.right > box.left)) return [];
  const { left, bottom: top } = box;
  const width = Math.ceil((box.right - left) * SCALE) + 6;
  const height = Math.ceil((box.top - top) * SCALE) + 6;
  const canvas = new Canvas(width, height);
  const pixels = Float64Array.from(points, (value, i) => (value - (i % 2 === 0 ? left : top)) * SCALE + 3);
  ends.forEach((end, i) => {
    canvas.fill(pixels.subarray(ends[i - 1] ?? 0, end));
  });
  const bits = Uint8Array.from(canvas.ink(), (ink) => (ink > 0.5 ? 1 : 0));
  thin(bits, width, height);
  return polylines(bits, width).map((line) => {
    const smooth = smoothed(line);
    return smooth.map((value, i) => (value + 0.5 - 3) / SCALE + (i % 2 === 0 ? left : top));
  });
}

/** Guo and Hall's thinning, in place (Zhang and Suen's eats exact diagonals); rechecked one by one, so that dots stay. */
function thin(bits: Uint8Array, width: number, height: number): void {
  const removable = (at: number): boolean => {
    const [n, ne, e, se] = [bits[at - width]!, bits[at - width + 1]!, bits[at + 1]!, bits[at + width + 1]!];
    const [s, sw, w, nw] = [bits[at + width]!, bits[at + width - 1]!, bits[at - 1]!, bits[at - width - 1]!];
    const turns = ((1 - n) & (ne | e)) + ((1 - e) & (se | s)) + ((1 - s) & (sw | w)) + ((1 - w) & (nw | n));
    if (turns !== 1) return false;
    const pairs = Math.min((nw | n) + (ne | e) + (se | s) + (sw | w), (n | ne) + (e | se) + (s | sw) + (w | nw));
    return pairs === 2 || pairs === 3;
  };
  const facing = (at: number, pass: number): boolean => {
    const [n, ne, e, se] = [bits[at - width]!, bits[at - width + 1]!, bits[at + 1]!, bits[at + width + 1]!];
    const [s, sw, w, nw] = [bits[at + width]!, bits[at + width - 1]!, bits[at - 1]!, bits[at - width - 1]!];
    return pass === 0 ? ((s | sw | (1 - nw)) & w) === 0 : ((n | ne | (1 - se)) & e) === 0;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const pass of [0, 1]) {
      const candidates: number[] = [];
      for (let y = 1; y < height - 1; y++) {
        for (let at = y * width + 1; at < (y + 1) * width - 1; at++) {
          if (bits[at] === 1 && removable(at) && facing(at, pass)) candidates.push(at);
        }
      }
      for (const at of candidates) {
        if (!removable(at)) continue;
        bits[at] = 0;
        changed = true;
      }
    }
  }
}

/** The thinned pixels as chains between ends and junctions, straight neighbours first. */
function polylines(bits: Uint8Array, width: number): number[][] {
  const steps = [-width, 1, width, -1, -width + 1, width + 1, width - 1, -width - 1];
  const neighbours = (at: number): number[] => {
    const found: number[] = [];
    for (const [k, step] of steps.entries()) {
      if (bits[at + step] !== 1) continue;
      // A diagonal that two straight steps also make is no link of its own.
      if (k >= 4) {
        const dx = k === 4 || k === 5 ? 1 : -1;
        if (bits[at + dx] === 1 || bits[at + step - dx] === 1) continue;
      }
      found.push(at + step);
    }
    return found;
  };
  const pixels = [...bits.keys()].filter((at) => bits[at] === 1);
  const links = new Map(pixels.map((at) => [at, neighbours(at)]));
  const degree = (at: number): number => links.get(at)!.length;
  const used = new Set<string>();
  const key = (a: number, b: number): string => (a < b ? `${a},${b}` : `${b},${a}`);
  const chains: number[][] = [];
  const follow = (start: number, next: number): void => {
    if (used.has(key(start, next))) return;
    const chain = [start];
    let [from, at] = [start, next];
    for (;;) {
      used.add(key(from, at));
      chain.push(at);
      if (degree(at) !== 2) break;
      const on = links.get(at)!.find((other) => other !== from && !used.has(key(at, other)));
      if (on === undefined) break;
      [from, at] = [at, on];
    }
    chains.push(chain);
  };
  for (const at of pixels) if (degree(at) !== 2) for (const next of links.get(at)!) follow(at, next);
  for (const at of pixels) for (const next of links.get(at)!) follow(at, next);
  const isSpur = (chain: readonly number[]): boolean => {
    const [first, last] = [degree(chain[0]!), degree(chain.at(-1)!)];
    return chain.length < SPUR && ((first === 1 && last > 2) || (last === 1 && first > 2));
  };
  const kept = chains.filter((chain) => !isSpur(chain));
  // A small cross of nothing but spurs is what is left of a dot.
  const touched = new Set(kept.flat());
  kept.push(...chains.filter((chain) => isSpur(chain) && !chain.some((at) => touched.has(at))));
  for (const at of pixels) if (degree(at) === 0) kept.push([at]);
  return kept.map((chain) => chain.flatMap((at) => [at % width, Math.floor(at / width)]));
}

/** A moving average that keeps the ends, then every third point. */
function smoothed(line: readonly number[]): Points {
  let points = Float64Array.from(line);
  const count = points.length / 2;
  const closed = count > 8 && line[0] === line.at(-2) && line[1] === line.at(-1);
  for (let pass = 0; pass < 4; pass++) {
    const next = points.slice();
    for (let i = 0; i < count; i++) {
      if (!closed && (i === 0 || i === count - 1)) continue;
      const before = i === 0 ? count - 2 : i - 1;
      const after = i === count - 1 ? 1 : i + 1;
      for (const axis of [0, 1]) {
        next[2 * i + axis] = (points[2 * before + axis]! + 2 * points[2 * i + axis]! + points[2 * after + axis]!) / 4;
      }
    }
    points = next;
  }
  const out: number[] = [];
  for (let i = 0; i < count; i++) {
    if (i % 3 === 0 || i === count - 1) out.push(points[2 * i]!, points[2 * i + 1]!);
  }
  return Float64Array.from(out);
}
