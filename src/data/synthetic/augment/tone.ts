// How dark half-covered pixels are: renderers and screens differ in their gamma.

const STEPS = 1024;

/** Ink to the power of gamma, in place: above 1 edges and thin lines fade, below 1 they darken. */
export function toned(ink: Float32Array, gamma: number): Float32Array {
  // Filled where it is needed, for a small picture has fewer half-covered pixels than steps.
  const table = new Float32Array(STEPS + 1).fill(-1);
  for (let at = 0; at < ink.length; at++) {
    const value = ink[at]!;
    if (value <= 0 || value >= 1) continue;
    const step = (value * STEPS + 0.5) | 0;
    if (table[step]! < 0) table[step] = (step / STEPS) ** gamma;
    ink[at] = table[step]!;
  }
  return ink;
}
