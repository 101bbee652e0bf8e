// Points and boxes, and projective maps of the plane: a formula leans, turns and is seen from aside before it comes onto
// the pixels' grid.

/** x0, y0, x1, y1, … */
export type Points = Float64Array;

export interface Box {
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
  readonly top: number;
}

/** [a, c, e, b, d, f, g, h, i]: x' = (a·x + c·y + e) / w and y' = (b·x + d·y + f) / w with w = g·x + h·y + i. */
export type Projection = Float64Array;

export interface View {
  readonly slant: number;
  readonly rotation: number;
  readonly keystone: readonly [number, number];
}

/** Font units (y upwards) → font units as seen (y downwards), about the middle of a box. */
export function seen({ slant, rotation, keystone }: View, box: Box): Projection {
  const [cos, sin] = [Math.cos(rotation), Math.sin(rotation)];
  const [a, c, b, d] = [cos, cos * slant - sin, -sin, -(sin * slant + cos)];
  const [x, y] = [(box.left + box.right) / 2, (box.bottom + box.top) / 2];
  const g = (2 * keystone[0]) / Math.max(1, box.right - box.left);
  const h = (-2 * keystone[1]) / Math.max(1, box.top - box.bottom);
  return Float64Array.of(a, c, -a * x - c * y, b, d, -b * x - d * y, g, h, 1 - g * x - h * y);
}

/** What is seen, scaled and moved. */
export function scaled(p: Projection, scaleX: number, scaleY: number, x: number, y: number): Projection {
  const [g, h, i] = [p[6]!, p[7]!, p[8]!];
  const across = [scaleX * p[0]! + x * g, scaleX * p[1]! + x * h, scaleX * p[2]! + x * i];
  const down = [scaleY * p[3]! + y * g, scaleY * p[4]! + y * h, scaleY * p[5]! + y * i];
  return Float64Array.of(...across, ...down, g, h, i);
}

/** Projects points x0, y0, x1, … up to `end`, in place. */
export function project(points: Points, end: number, p: Projection): void {
  const flat = p[6] === 0 && p[7] === 0;
  for (let at = 0; at < end; at += 2) {
    const x = points[at]!;
    const y = points[at + 1]!;
    const scale = flat ? 1 : 1 / (p[6]! * x + p[7]! * y + p[8]!);
    points[at] = (p[0]! * x + p[1]! * y + p[2]!) * scale;
    points[at + 1] = (p[3]! * x + p[4]! * y + p[5]!) * scale;
  }
}
