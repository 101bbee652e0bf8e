// How dark half-covered pixels are: renderers and screens differ in their gamma.

const STEPS = 1024;

/** Ink to the power of gamma, in place: above 1 edges and thin lines fade, below 1 they darken. */
export function toned(ink: Float32Array, gamma: number): Float32Array {
  const table = Float32Array.from({ length: STEPS + 1 }, (_, i) => (i / STEPS) ** gamma);
  for (let at = 0; at < ink.length; at++) {
    const value = ink[at]!;
    if (value > 0 && value < 1) ink[at] = table[Math.round(value * STEPS)]!;
  }
  return ink;
}
