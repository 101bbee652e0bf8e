// Glyph outlines: SVG path data → closed polygons in font units, with the direction in which each point moves when the
// stroke grows heavier; and cutting polygons to a box.
import { RunError } from '../../shared/errors.ts';
import type { Box, Points } from './geometry.ts';
import { pathOf } from './glyphs.ts';

/** The closed contours of a glyph, curves cut into short lines. */
export interface Outline {
  readonly points: Float32Array;
  /** Of every point, how far it moves when each side of the stroke grows by one unit. */
  readonly normals: Float32Array;
  /** where the contours end in `points` */
  readonly ends: readonly number[];
  readonly box: Box;
}

const outlines: (Outline | undefined)[] = [];

/** The outline of a glyph; it is kept. */
export function outlineOf(glyph: number): Outline {
  outlines[glyph] ??= outlineOfPath(pathOf(glyph));
  return outlines[glyph];
}

function outlineOfPath(path: string): Outline {
  const contours = flatten(path);
  const points = new Float32Array(contours.reduce((sum, contour) => sum + contour.length, 0));
  const normals = new Float32Array(points.length);
  const ends: number[] = [];
  const [xs, ys] = [[] as number[], [] as number[]];
  // Outer contours of a font turn one way and inner ones the other: the sum says which way leads out of the ink.
  const outwards = contours.reduce((sum, contour) => sum + signedArea(contour), 0) > 0 ? 1 : -1;
  let at = 0;
  for (const contour of contours) {
    points.set(contour, at);
    normals.set(mitres(contour, outwards), at);
    at += contour.length;
    ends.push(at);
    for (let i = 0; i < contour.length; i += 2) {
      xs.push(contour[i]!);
      ys.push(contour[i + 1]!);
    }
  }
  const box = { left: least(xs), right: -least(xs.map((x) => -x)), bottom: least(ys), top: -least(ys.map((y) => -y)) };
  return { points, normals, ends, box };
}

const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);

function signedArea(contour: Points): number {
  let area = 0;
  for (let i = 0; i < contour.length; i += 2) {
    const j = i + 2 === contour.length ? 0 : i + 2;
    area += (contour[i]! * contour[j + 1]! - contour[j]! * contour[i + 1]!) / 2;
  }
  return area;
}

/** How each corner moves when both its sides move outwards by one; sharp corners move by two at most. */
function mitres(contour: Points, outwards: number): Float32Array {
  const out = new Float32Array(contour.length);
  const count = contour.length;
  for (let i = 0; i < count; i += 2) {
    const [before, after] = [(i + count - 2) % count, (i + 2) % count];
    const [ax, ay] = [contour[i]! - contour[before]!, contour[i + 1]! - contour[before + 1]!];
    const [bx, by] = [contour[after]! - contour[i]!, contour[after + 1]! - contour[i + 1]!];
    const [a, b] = [Math.hypot(ax, ay) || 1, Math.hypot(bx, by) || 1];
    const [nx, ny] = [ay / a + by / b, -ax / a - bx / b];
    // The sum of two unit normals, divided by its half square, is the mitre.
    const scale = outwards / Math.max((nx * nx + ny * ny) / 2, 0.5);
    out[i] = nx * scale;
    out[i + 1] = ny * scale;
  }
  return out;
}

const ARGUMENTS: Readonly<Record<string, number>> = { M: 2, L: 2, H: 1, V: 1, Q: 4, T: 2, C: 6, Z: 0 };

function flatten(path: string): Points[] {
  const contours: Points[] = [];
  let current: number[] = [];
  let [x, y, qx, qy] = [0, 0, 0, 0];
  const close = (): void => {
    if (current.length >= 6) contours.push(Float64Array.from(current));
    current = [];
  };
  for (const [, command = '', text = ''] of path.matchAll(/([A-Za-z])([^A-Za-z]*)/g)) {
    const size = ARGUMENTS[command];
    if (size === undefined) throw new RunError(`glyph path: unknown command ${command} in ${path.slice(0, 40)}`);
    const args = (text.match(/-?\d*\.?\d+/g) ?? []).map(Number);
    if (command === 'Z') close();
    for (let i = 0; i + size <= args.length && size > 0; i += size) {
      const p = (k: number): number => args[i + k] as number;
      if (command === 'M') {
        close();
        [x, y] = [p(0), p(1)];
        current.push(x, y);
      } else if (command === 'L' || command === 'H' || command === 'V') {
        [x, y] = command === 'L' ? [p(0), p(1)] : command === 'H' ? [p(0), y] : [x, p(0)];
        current.push(x, y);
      } else if (command === 'C') {
        cubic(current, x, y, p(0), p(1), p(2), p(3), p(4), p(5));
        [x, y] = [p(4), p(5)];
      } else {
        [qx, qy] = command === 'Q' ? [p(0), p(1)] : [2 * x - qx, 2 * y - qy];
        const [ex, ey] = command === 'Q' ? [p(2), p(3)] : [p(0), p(1)];
        const third = (from: number, control: number): number => from + (2 / 3) * (control - from);
        cubic(current, x, y, third(x, qx), third(y, qy), third(ex, qx), third(ey, qy), ex, ey);
        [x, y] = [ex, ey];
        continue;
      }
      [qx, qy] = [x, y];
    }
  }
  close();
  return contours;
}

function cubic(
  out: number[],
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  x3: number,
  y3: number,
): void {
  const length = Math.hypot(x1 - x0, y1 - y0) + Math.hypot(x2 - x1, y2 - y1) + Math.hypot(x3 - x2, y3 - y2);
  const steps = Math.max(2, Math.min(10, Math.ceil(length / 45)));
  for (let i = 1; i <= steps; i++) {
    const t = i / steps;
    const s = 1 - t;
    const [b0, b1, b2, b3] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
    out.push(b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3, b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3);
  }
}

/** The part of a polygon inside a box (Sutherland–Hodgman); turning sense is kept. */
export function clipPolygon(points: Points, box: Box): Points {
  let out = points;
  out = clipSide(out, 0, 1, box.left);
  out = clipSide(out, 0, -1, -box.right);
  out = clipSide(out, 1, 1, box.bottom);
  return clipSide(out, 1, -1, -box.top);
}

/** Keeps the points whose coordinate on the axis, times the sign, is at least the limit. */
function clipSide(points: Points, axis: 0 | 1, sign: 1 | -1, limit: number): Points {
  const out: number[] = [];
  const count = points.length / 2;
  for (let i = 0; i < count; i++) {
    const j = (i + 1) % count;
    const [ax, ay, bx, by] = [points[2 * i]!, points[2 * i + 1]!, points[2 * j]!, points[2 * j + 1]!];
    const da = sign * (axis === 0 ? ax : ay) - limit;
    const db = sign * (axis === 0 ? bx : by) - limit;
    if (da >= 0) out.push(ax, ay);
    if (da >= 0 !== db >= 0) {
      const t = da / (da - db);
      out.push(ax + t * (bx - ax), ay + t * (by - ay));
    }
  }
  return Float64Array.from(out);
}
