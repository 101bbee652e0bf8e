// A sized image's patches in fewer bytes, unpacked whenever a batch asks for them: a drawn formula's take a quarter or less.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Grid } from '../models/qwen2_vl/positions.ts';
import type { ResizedImage } from '../models/qwen2_vl/processor.ts';

/** i32 grid t, h, w, channels and whether it is blank, then the patches, deflated; of grey ones the first channel. */
const HEAD_BYTES = 20;

export function packImage({ grid, pixels, isBlank }: ResizedImage): Uint8Array {
  const [frames, rows, columns] = grid;
  const grey = greyOf(pixels, frames * rows * columns);
  const head = Int32Array.of(...grid, grey ? 1 : 3, isBlank ? 1 : 0);
  return Buffer.concat([new Uint8Array(head.buffer), deflateRawSync(grey ?? pixels, { level: 1 })]);
}

/** The first channel of patches whose three are alike. */
function greyOf(pixels: Uint8Array, patches: number): Uint8Array | null {
  const area = pixels.length / patches / 3;
  const grey = new Uint8Array(patches * area);
  for (let from = 0, to = 0; from < pixels.length; from += 2 * area)
    for (const end = from + area; from < end; from++, to++) {
      const value = pixels[from]!;
      if (value !== pixels[from + area] || value !== pixels[from + 2 * area]) return null;
      grey[to] = value;
    }
  return grey;
}

export class PackedImage implements ResizedImage {
  readonly grid: Grid;
  readonly isBlank: boolean;
  private readonly channels: number;

  /** @param read gives the packed bytes again, where they need not be held */
  constructor(
    packed: Uint8Array,
    private readonly read: () => Uint8Array = () => packed,
  ) {
    const head = new Int32Array(new Uint8Array(packed.subarray(0, HEAD_BYTES)).buffer);
    this.grid = [head[0]!, head[1]!, head[2]!];
    this.channels = head[3]!;
    this.isBlank = head[4] === 1;
  }

  get pixels(): Uint8Array {
    const stored = inflateRawSync(this.read().subarray(HEAD_BYTES));
    if (this.channels === 3) return stored;
    const [frames, rows, columns] = this.grid;
    const area = stored.length / (frames * rows * columns);
    const pixels = new Uint8Array(stored.length * 3);
    for (let from = 0, to = 0; from < stored.length; from += area) {
      const channel = stored.subarray(from, from + area);
      for (let c = 0; c < 3; c++, to += area) pixels.set(channel, to);
    }
    return pixels;
  }
}
