// A model fixture of reference/model.py: its samples, its expected values and batches that carry its random pixels.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Tensors } from '../../src/backends/contract.ts';
import { SafetensorsFile } from '../../src/formats/safetensors.ts';
import { type EncodedSample, type PlacedSample, packedInputs } from '../../src/models/qwen2_vl/batch.ts';
import { type Qwen2VLConfig, readConfig } from '../../src/models/qwen2_vl/config.ts';
import type { Grid } from '../../src/models/qwen2_vl/positions.ts';
import type { Bucket } from '../../src/models/qwen2_vl/programs.ts';

/** Two packing rows and two vision rows: samples 0 and 1 share the first, sample 2 has the second for itself. */
export const BUCKET: Bucket = { tokens: 64, row: 32, patches: 96, patchRow: 48, labels: 16 };
/** Bytes a patch: 3 channels · 14². */
const PATCH = 588;

interface Meta {
  samples: { ids: number[]; grids: Grid[]; labelStart: number; ropeDelta: number }[];
}

const patchesOf = ([t, h, w]: Grid): number => t * h * w;

export class Fixture {
  private constructor(
    readonly folder: string,
    readonly config: Qwen2VLConfig,
    readonly samples: readonly EncodedSample[],
    readonly ropeDeltas: readonly number[],
    private readonly values: ReadonlyMap<string, Float32Array>,
  ) {}

  static async open(name: string): Promise<Fixture> {
    const folder = fileURLToPath(new URL(`./model/${name}`, import.meta.url));
    const file = await SafetensorsFile.open(join(folder, 'expected.safetensors'));
    const values = new Map<string, Float32Array>();
    for (const key of file.header.keys()) values.set(key, await file.read(key));
    await file.close();
    const meta = JSON.parse(await readFile(join(folder, 'meta.json'), 'utf8')) as Meta;
    const samples = meta.samples.map(({ ids, grids, labelStart }, i) => {
      const pixels = Uint8Array.from(values.get(`bytes.${i}`)!);
      let from = 0;
      const images = grids.map((grid) => {
        const [start, end] = [from, from + PATCH * patchesOf(grid)];
        from = end;
        return { grid, pixels: pixels.subarray(start, end) };
      });
      return { name: `sample ${i}`, ids: Int32Array.from(ids), labelStart, images };
    });
    const deltas = meta.samples.map((sample) => sample.ropeDelta);
    return new Fixture(folder, await readConfig(folder), samples, deltas, values);
  }

  keys(prefix: string): string[] {
    return [...this.values.keys()].filter((key) => key.startsWith(prefix));
  }

  expected(key: string): Float32Array {
    const found = this.values.get(key);
    if (!found) throw new Error(`no expected value '${key}'`);
    return found;
  }

  /** The samples of an optimiser step, 0 and 1: both in one packing row, their images in one vision row. */
  get step(): PlacedSample[] {
    return [
      { sample: this.samples[0]!, start: 0, segment: 1, patchStarts: [0] },
      { sample: this.samples[1]!, start: this.samples[0]!.ids.length, segment: 2, patchStarts: [24, 32] },
    ];
  }

  get all(): PlacedSample[] {
    return [...this.step, { sample: this.samples[2]!, start: BUCKET.row, segment: 1, patchStarts: [BUCKET.patchRow] }];
  }

  /** The packed batch of placed samples; every label token weighs `weight`. */
  inputs(placed: readonly PlacedSample[], weight: number): Tensors {
    return packedInputs(this.config, BUCKET, placed, weight);
  }
}

/** Largest difference, relative to the largest expected value. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  let difference = 0;
  let scale = 1e-12;
  for (let i = 0; i < want.length; i++) {
    difference = Math.max(difference, Math.abs((got[i] as number) - (want[i] as number)));
    scale = Math.max(scale, Math.abs(want[i] as number));
  }
  return difference / scale;
}
