// A grey image at another size, as screens, viewers and scanners show it: a filter along the rows, then the columns.

/** 'triangle' is bilinear, and averages when it shrinks; 'cubic' (Catmull and Rom's) is crisp and overshoots a little. */
export type Kernel = 'triangle' | 'cubic';

export function resized(
  image: Float32Array,
  width: number,
  height: number,
  toWidth: number,
  toHeight: number,
  kernel: Kernel,
): Float32Array {
  const { size, first, weights } = tapsOf(width, toWidth, kernel);
  const rows = new Float32Array(toWidth * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, tap = 0; x < toWidth; x++, to++) {
      let sum = 0;
      const from = y * width + first[x]!;
      for (let at = from; at < from + size; at++, tap++) sum += weights[tap]! * image[at]!;
      rows[to] = sum;
    }
  }
  const down = tapsOf(height, toHeight, kernel);
  const out = new Float32Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    for (let k = 0; k < down.size; k++) {
      const weight = down.weights[y * down.size + k]!;
      const from = (down.first[y]! + k) * toWidth;
      if (weight === 0) continue;
      for (let at = y * toWidth, end = at + toWidth, row = from; at < end; at++, row++) out[at]! += weight * rows[row]!;
    }
  }
  for (let at = 0; at < out.length; at++) {
    const value = out[at]!;
    if (value < 0) out[at] = 0;
    else if (value > 1) out[at] = 1;
  }
  return out;
}

interface Taps {
  readonly size: number;
  readonly first: Int32Array;
  /** [to, size] */
  readonly weights: Float32Array;
}

/** Which pixels each new pixel is made of; what would lie outside counts as the edge's pixel left out. */
function tapsOf(from: number, to: number, kernel: Kernel): Taps {
  const step = from / to;
  const stretch = Math.max(1, step);
  const reach = (kernel === 'cubic' ? 2 : 1) * stretch;
  const size = Math.min(from, Math.ceil(2 * reach) + 1);
  const first = new Int32Array(to);
  const weights = new Float32Array(to * size);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * step - 0.5;
    const start = Math.max(0, Math.min(from - size, Math.ceil(centre - reach)));
    first[i] = start;
    let sum = 0;
    for (let k = 0; k < size; k++) {
      const weight = weightAt(Math.abs(start + k - centre) / stretch, kernel);
      weights[i * size + k] = weight;
      sum += weight;
    }
    for (let k = 0; k < size; k++) weights[i * size + k]! /= sum;
  }
  return { size, first, weights };
}

function weightAt(x: number, kernel: Kernel): number {
  if (kernel === 'triangle') return Math.max(0, 1 - x);
  if (x < 1) return 1 + x * x * (1.5 * x - 2.5);
  return x < 2 ? 2 + x * (-4 + x * (2.5 - 0.5 * x)) : 0;
}
