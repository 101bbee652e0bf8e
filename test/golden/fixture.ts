// A model fixture of reference/model.py: its samples, its expected values and batches that carry its random pixels.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Backend, Tensors } from '../../src/backends/contract.ts';
import { SafetensorsFile } from '../../src/formats/safetensors.ts';
import { packPrompts } from '../../src/generate/prompts.ts';
import { type EncodedSample, type PlacedSample, packedInputs } from '../../src/models/qwen2_vl/batch.ts';
import { type Qwen2VLConfig, readConfig } from '../../src/models/qwen2_vl/config.ts';
import type { Grid } from '../../src/models/qwen2_vl/positions.ts';
import type { Bucket } from '../../src/models/qwen2_vl/programs.ts';

/** Two packing rows and two vision rows: samples 0 and 1 share the first, sample 2 has the second for itself. */
export const BUCKET: Bucket = { tokens: 64, row: 32, patches: 96, patchRow: 48, labels: 16 };
/** Values a patch: 3 channels · 2 frames · 14². */
const PATCH = 1176;

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
    const samples = meta.samples.map(({ ids, grids, labelStart }, i) => ({
      name: `sample ${i}`,
      ids: Int32Array.from(ids),
      labelStart,
      // Their pixels are never looked at: `inputs` and `withPixels` put the fixture's patches in their place.
      images: grids.map((grid) => ({
        grid,
        width: grid[2] * 14,
        height: grid[1] * 14,
        rgb: new Uint8Array(grid[1] * grid[2] * 588),
      })),
    }));
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
    const batch = packedInputs(this.config, BUCKET, placed, weight);
    for (const { sample, patchStarts } of placed)
      this.pixelsOf(sample).forEach((pixels, i) => {
        (batch.patches as Float32Array).set(pixels, (patchStarts[i] as number) * PATCH);
      });
    return batch;
  }

  /** The patches of each image of a sample, or of its prompt, which has the sample's name. */
  private pixelsOf({ name, images }: EncodedSample): Float32Array[] {
    const all = this.expected(`pixels.${this.samples.findIndex((sample) => sample.name === name)}`);
    let from = 0;
    return images.map(({ grid }) => {
      from += patchesOf(grid);
      return all.subarray((from - patchesOf(grid)) * PATCH, from * PATCH);
    });
  }

  /** A backend whose programs find the fixture's patches where their batch has put the images of these prompts. */
  withPixels(backend: Backend, prompts: readonly EncodedSample[]): Backend {
    const { placed } = packPrompts(prompts, this.config.vision.mergeSize ** 2);
    return {
      name: backend.name,
      decomposed: backend.decomposed,
      ahead: backend.ahead,
      setState: (...args) => backend.setState(...args),
      clearState: (...args) => backend.clearState(...args),
      getState: (name) => backend.getState(name),
      typeOf: (name) => backend.typeOf(name),
      hasState: (name) => backend.hasState(name),
      deleteState: (name) => backend.deleteState(name),
      memory: () => backend.memory(),
      needs: (graph) => backend.needs(graph),
      compile: async (graph, options) => {
        const program = await backend.compile(graph, options);
        return {
          dispose: () => program.dispose(),
          run: (inputs) => {
            const segments = inputs.patch_segments;
            if (!segments) return program.run(inputs);
            const patches = new Float32Array(segments.length * PATCH);
            for (const { sample, patchStarts } of placed)
              this.pixelsOf(sample).forEach((pixels, i) => {
                patches.set(pixels, (patchStarts[i] as number) * PATCH);
              });
            return program.run({ ...inputs, patches });
          },
        };
      },
    };
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
