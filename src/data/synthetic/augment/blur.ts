// Ink out of focus, and ink of a moving camera.

/** Beyond this a Gaussian of three taps is none any more; wider ones are several in turn. */
const WIDEST = 0.7;

/** A Gaussian blur; sigma in pixels, of which a few at most. Outside there is no ink. */
export function blurred(ink: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const passes = Math.ceil((sigma / WIDEST) ** 2);
  let out = ink;
  for (let pass = 0; pass < passes; pass++) out = blurredOnce(out, width, height, sigma / Math.sqrt(passes));
  return out;
}

function blurredOnce(ink: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const side = Math.exp(-1 / (2 * sigma * sigma));
  const [w0, w1] = [1 / (1 + 2 * side), side / (1 + 2 * side)];
  const rows = new Float32Array(ink.length);
  for (let y = 0, at = 0; y < height; y++) {
    let [before, here] = [0, ink[at]!];
    for (let x = 1; x <= width; x++, at++) {
      const after = x < width ? ink[at + 1]! : 0;
      rows[at] = w0 * here + w1 * (before + after);
      before = here;
      here = after;
    }
  }
  const out = new Float32Array(ink.length);
  for (let y = 0; y < height; y++) {
    for (let at = y * width; at < (y + 1) * width; at++) {
      const above = y > 0 ? rows[at - width]! : 0;
      const below = y < height - 1 ? rows[at + width]! : 0;
      out[at] = w0 * rows[at]! + w1 * (above + below);
    }
  }
  return out;
}

/** The mean of the image moved along (dx, dy), in pixels. */
export function smeared(ink: Float32Array, width: number, height: number, dx: number, dy: number): Float32Array {
  const steps = Math.ceil(Math.max(Math.abs(dx), Math.abs(dy))) + 1;
  const out = new Float32Array(ink.length);
  for (let step = 0; step < steps; step++) {
    const t = step / Math.max(1, steps - 1) - 0.5;
    const [left, top] = [Math.floor(t * dx), Math.floor(t * dy)];
    const [fx, fy] = [t * dx - left, t * dy - top];
    const corners = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy];
    for (const [corner, share] of corners.entries()) {
      add(out, ink, width, height, left + (corner & 1), top + (corner >> 1), share / steps);
    }
  }
  return out;
}

/** out(x, y) += share · ink(x + left, y + top) */
function add(
  out: Float32Array,
  ink: Float32Array,
  width: number,
  height: number,
  left: number,
  top: number,
  share: number,
): void {
  if (share === 0) return;
  for (let y = Math.max(0, -top); y < Math.min(height, height - top); y++) {
    const from = (y + top) * width + left;
    const end = Math.min(width, width - left);
    for (let x = Math.max(0, -left); x < end; x++) out[y * width + x]! += share * ink[from + x]!;
  }
}
