// A small anti-aliased rasteriser: filled polygons by exact area accumulation (as in font-rs), pen strokes by distance.
// Plain arithmetic, so that a sample has the same bytes on every machine; far quicker than a trip through SVG.
import type { Points } from './geometry.ts';

export class Canvas {
  /** Ink from strokes, 0 to 1. */
  private readonly strokes: Float32Array;
  private isStroked = false;
  /** Signed area differences along each row, two spare columns. */
  private readonly areas: Float32Array;
  private readonly stride: number;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.stride = width + 2;
    this.areas = new Float32Array(this.stride * height);
    this.strokes = new Float32Array(width * height);
  }

  /** Adds a closed polygon, in pixels with y downwards. Outer contours of all polygons must turn the same way. */
  fill(points: Points, from = 0, to = points.length): void {
    if (to - from < 6) return;
    for (let a = to - 2, b = from; b < to; a = b, b += 2) {
      const ay = points[a + 1]!;
      const by = points[b + 1]!;
      if (ay < by) this.edge(points, a, b, 1);
      else if (by < ay) this.edge(points, b, a, -1);
    }
  }

  /** One side of a polygon, from its upper end to its lower one, by their places: numbers would be boxed for the call. */
  private edge(points: Points, upper: number, lower: number, sense: number): void {
    const x0 = points[upper]!;
    const y0 = points[upper + 1]!;
    const x1 = points[lower]!;
    const y1 = points[lower + 1]!;
    const { areas, stride } = this;
    const right = this.width;
    const slope = (x1 - x0) / (y1 - y0);
    const last = Math.min(this.height, Math.ceil(y1));
    let x = y0 < 0 ? x0 - y0 * slope : x0;
    for (let y = Math.max(0, Math.floor(y0)); y < last; y++) {
      const dy = Math.min(y + 1, y1) - Math.max(y, y0);
      const next = x + slope * dy;
      const d = dy * sense;
      const low = Math.min(Math.max(Math.min(x, next), 0), right);
      const high = Math.min(Math.max(Math.max(x, next), 0), right);
      x = next;
      const first = Math.floor(low);
      const end = Math.ceil(high);
      const at = y * stride + first;
      if (end <= first + 1) {
        const part = 0.5 * (low + high) - first;
        areas[at]! += d - d * part;
        areas[at + 1]! += d * part;
        continue;
      }
      const s = 1 / (high - low);
      const f0 = 1 - (low - first);
      const f1 = high - end + 1;
      const a0 = 0.5 * s * f0 * f0;
      const am = 0.5 * s * f1 * f1;
      const span = end - first;
      areas[at]! += d * a0;
      if (span === 2) areas[at + 1]! += d * (1 - a0 - am);
      else {
        const a1 = s * (0.5 + f0);
        areas[at + 1]! += d * (a1 - a0);
        for (let k = 2; k < span - 1; k++) areas[at + k]! += d * s;
        areas[at + span - 1]! += d * (1 - (a1 + (span - 3) * s) - am);
      }
      areas[at + span]! += d * am;
    }
  }

  /** Draws a line with round ends; the pen's radius goes from r0 to r1. */
  stroke(ax: number, ay: number, bx: number, by: number, r0: number, r1: number): void {
    const reach = Math.max(r0, r1) + 0.5;
    const left = Math.max(0, Math.floor(Math.min(ax, bx) - reach));
    const right = Math.min(this.width - 1, Math.ceil(Math.max(ax, bx) + reach) - 1);
    const top = Math.max(0, Math.floor(Math.min(ay, by) - reach));
    const bottom = Math.min(this.height - 1, Math.ceil(Math.max(ay, by) + reach) - 1);
    const dx = bx - ax;
    const dy = by - ay;
    const length2 = dx * dx + dy * dy;
    const scale = length2 > 0 ? 1 / length2 : 0;
    const { strokes, width } = this;
    this.isStroked = true;
    for (let y = top; y <= bottom; y++) {
      const py = y + 0.5 - ay;
      for (let x = left; x <= right; x++) {
        const px = x + 0.5 - ax;
        let t = (px * dx + py * dy) * scale;
        t = t < 0 ? 0 : Math.min(t, 1);
        const ox = px - t * dx;
        const oy = py - t * dy;
        const radius = r0 + t * (r1 - r0);
        let ink = radius + 0.5 - Math.sqrt(ox * ox + oy * oy);
        if (ink <= 0) continue;
        // A pen thinner than a pixel leaves less ink, not a thinner line.
        const full = radius < 0.5 ? 2 * radius : 1;
        ink = Math.min(ink, full);
        const at = y * width + x;
        if (ink > strokes[at]!) strokes[at] = ink;
      }
    }
  }

  /** Ink of every pixel, 0 to 1. */
  ink(): Float32Array {
    const { width, height, areas, strokes, isStroked } = this;
    for (let y = 0, at = 0, from = 0; y < height; y++, from += 2) {
      let [sum, area] = [0, 0];
      for (const end = at + width; at < end; at++, from++) {
        const change = areas[from]!;
        // On paper and within strokes nothing changes, and nothing has to wait for the sum.
        if (change !== 0) {
          sum += change;
          area = Math.min(1, Math.abs(sum));
        }
        if (!isStroked || area > strokes[at]!) strokes[at] = area;
      }
    }
    return strokes;
  }
}
