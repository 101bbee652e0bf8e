// Dropout masks made on the host; src/ops/dropout_mask.ts states the numbers.
import { mix32 } from '../../shared/random.ts';

export function fillMask(out: Float32Array, { key, p }: { key: number; p: number }, tick: number): void {
  const threshold = Math.floor(p * 2 ** 32);
  // Looked up, not branched on: the branch cannot be predicted and makes the loop 2.4 times slower.
  const values = Float32Array.of(0, 1 / (1 - p));
  let counter = mix32((tick ^ key) >>> 0) | 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = values[+(mix32(counter) >= threshold)] as number;
    counter = (counter + 0x9e3779b9) | 0;
  }
}
