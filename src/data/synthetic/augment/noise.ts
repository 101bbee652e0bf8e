// A sensor's noise, from a table: random numbers made pixel by pixel would take longer than all else.
import { Random } from '../../../shared/random.ts';

const MASK = 0xffff;
let table: Float32Array | undefined;

/** Normal values of standard deviation 1 (a sum of four bytes is near enough), the same on every thread. */
function normals(): Float32Array {
  if (table !== undefined) return table;
  const random = Random.from(0x6e6f6973);
  table = Float32Array.from({ length: MASK + 1 }, () => {
    const bits = random.bits();
    return ((bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510) / 148;
  });
  return table;
}

/** Adds noise of so many grey levels to pixels [height, width, channels]; each row starts anywhere in the table. */
export function addNoise(pixels: Uint8Array, row: number, channels: number, levels: number, random: Random): void {
  const values = normals();
  for (let start = 0; start < pixels.length; start += row) {
    let k = random.bits();
    for (let at = start; at < start + row; at += channels) {
      const add = levels * values[k++ & MASK]! + 0.5;
      for (let c = 0; c < channels; c++) {
        const value = pixels[at + c]! + add;
        pixels[at + c] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
}
