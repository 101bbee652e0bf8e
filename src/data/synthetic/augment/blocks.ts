// What JPEG does to a picture: blocks of 8 × 8 pixels as cosines, whose amplitudes are rounded (ITU-T T.81, table K.1).
// Brightness alone; colours move with it.

const N = 8;
/** K.1's steps for quality 50. */
const STEPS = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
  87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];
const cosine = (u: number, x: number): number =>
  Math.sqrt((u === 0 ? 1 : 2) / N) * Math.cos(((2 * x + 1) * u * Math.PI) / (2 * N));
/** [frequency, place], orthonormal, and its inverse [place, frequency] */
const FORWARD = Float32Array.from({ length: N * N }, (_, i) => cosine(i >> 3, i % N));
const INVERSE = Float32Array.from({ length: N * N }, (_, i) => cosine(i % N, i >> 3));

/** Rounds pixels [height, width, channels] in place as JPEG of the quality (1 to 100) does. */
export function compressBlocks(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: number,
  quality: number,
): void {
  const scale = quality < 50 ? 50 / quality : 2 - quality / 50;
  const steps = STEPS.map((step) => Math.max(1, step * scale));
  const block = new Float32Array(N * N);
  const waves = new Float32Array(N * N);
  const before = new Float32Array(N * N);
  for (let top = 0; top < height; top += N) {
    for (let left = 0; left < width; left += N) {
      for (let i = 0; i < N * N; i++) {
        const x = Math.min(width - 1, left + (i & 7));
        const y = Math.min(height - 1, top + (i >> 3));
        const at = (y * width + x) * channels;
        before[i] = channels === 1 ? pixels[at]! : brightness(pixels[at]!, pixels[at + 1]!, pixels[at + 2]!);
        block[i] = before[i]! - 128;
      }
      transform(block, waves, FORWARD);
      for (let i = 0; i < N * N; i++) {
        const step = steps[i]!;
        // White's mean lies half a step up at quality 50: the addend decides it, not a rounding error of the sum.
        waves[i] = step * Math.round(waves[i]! / step + 1e-4);
      }
      transform(waves, block, INVERSE);
      for (let i = 0; i < N * N; i++) {
        const x = left + (i & 7);
        const y = top + (i >> 3);
        if (x >= width || y >= height) continue;
        const change = Math.round(block[i]! + 128 - before[i]!);
        for (let c = 0, at = (y * width + x) * channels; c < channels; c++, at++) {
          pixels[at] = Math.max(0, Math.min(255, pixels[at]! + change));
        }
      }
    }
  }
}

const brightness = (r: number, g: number, b: number): number => 0.299 * r + 0.587 * g + 0.114 * b;

const half = new Float32Array(N * N);

/** A cosine transform of a block along rows and columns. */
function transform(from: Float32Array, to: Float32Array, cosines: Float32Array): void {
  turned(from, half, cosines);
  turned(half, to, cosines);
}

/** The rows' transforms as columns, so that twice does rows and columns. Written out: it is most of a block's time. */
function turned(from: Float32Array, to: Float32Array, cosines: Float32Array): void {
  for (let row = 0, at = 0; row < N; row++, at += N) {
    for (let u = 0, k = 0; u < N; u++, k += N) {
      let sum = cosines[k]! * from[at]! + cosines[k + 1]! * from[at + 1]!;
      sum = sum + cosines[k + 2]! * from[at + 2]! + cosines[k + 3]! * from[at + 3]!;
      sum = sum + cosines[k + 4]! * from[at + 4]! + cosines[k + 5]! * from[at + 5]!;
      to[u * N + row] = sum + cosines[k + 6]! * from[at + 6]! + cosines[k + 7]! * from[at + 7]!;
    }
  }
}
