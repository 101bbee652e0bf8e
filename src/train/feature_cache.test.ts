// Image features lie where the cache says, whether they are kept, made anew, or both within one micro-batch.
import { beforeAll, expect, test } from 'vitest';
import { Fixture } from '../../test/golden/fixture.ts';
import type { Backend } from '../backends/contract.ts';
import { createOnnxBackend } from '../backends/onnx/index.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { loadWeights } from '../models/qwen2_vl/load.ts';
import { pack } from '../models/qwen2_vl/packing.ts';
import type { Grid } from '../models/qwen2_vl/positions.ts';
import { FEATURES } from '../models/qwen2_vl/programs.ts';
import { Random } from '../shared/random.ts';
import { sizeOfSample } from './dataset.ts';
import { FeatureCache } from './feature_cache.ts';

const AREA = 4;
const PATCH = 588;
const BUCKET = { tokens: 4, row: 4, patches: 96, patchRow: 48, labels: 0 };

const random = Random.from(3);
const sampleOf = (...grids: Grid[]): EncodedSample => {
  const images = grids.map((grid) => {
    const pixels = Uint8Array.from({ length: grid[1] * grid[2] * PATCH }, () => random.int(256));
    return { grid, pixels };
  });
  return { name: grids.join(' '), ids: new Int32Array(0), labelStart: 0, images };
};

let fixture: Fixture;
let backend: Backend;
beforeAll(async () => {
  fixture = await Fixture.open('tiny');
  backend = await createOnnxBackend({ threads: 1 });
  await loadWeights(fixture.folder, fixture.config, backend);
});

/** Places batch after batch, and gives the features of each batch's samples. */
async function featuresOf(keep: number, batches: readonly EncodedSample[][]): Promise<number[][][]> {
  const { config } = fixture;
  const width = config.text.hiddenSize;
  const options = { precision: 'f32', keep, bucket: BUCKET } as const;
  const cache = await FeatureCache.create(backend, config, options, FeatureCache.trace(backend, config, options));
  const read: number[][][] = [];
  for (const batch of batches) {
    const { starts, runs } = cache.place(batch);
    await Promise.all(runs);
    const rows = backend.getState(FEATURES).data;
    const features = (start: number, pixels: Uint8Array) =>
      Array.from(rows.subarray((start / AREA) * width, ((start + pixels.length / PATCH) / AREA) * width));
    read.push(batch.map(({ images }, i) => images.flatMap(({ pixels }, n) => features(starts[i]![n]!, pixels))));
  }
  await cache.dispose();
  return read;
}

/** Holds the features of batches against those of each sample alone. */
async function check(keep: number, batches: readonly EncodedSample[][]): Promise<void> {
  const read = await featuresOf(keep, batches);
  const alone = await featuresOf(
    0,
    batches.flat().map((sample) => [sample]),
  );
  for (const [n, features] of read.flat().entries()) {
    const worst = features.reduce((most, x, i) => Math.max(most, Math.abs(x - alone[n]![0]![i]!)), 0);
    // float32 sums of features of size 1, in the order of another place in the batch
    expect(worst, `keep ${keep}, sample ${n}`).toBeLessThan(1e-5);
  }
}

test('every sample has its own features, however many rows are kept', async () => {
  const side = () => 2 * (1 + random.int(3));
  const samples = Array.from({ length: 12 }, () =>
    sampleOf(...Array.from({ length: 1 + random.int(3) }, () => [1, side(), side()] as const)),
  );
  const sizes = samples.map((sample) => ({ ...sizeOfSample(sample), tokens: 1 }));
  const rows = sizes.reduce((sum, { images }) => images.reduce((all, n) => all + n, sum), 0) / AREA;
  // Two epochs, the second one in another order
  const batches = [0, 1].flatMap(() =>
    pack(random.shuffled([...samples.keys()]), sizes, BUCKET).map((batch) => batch.map((p) => samples[p.sample]!)),
  );
  for (let keep = 0; keep <= 1.5 * rows; keep += 15) await check(keep, batches);
});

test('what a run keeps beside one that keeps nothing leaves that one’s features alone', async () => {
  // 24 and 20 patches share a vision row and 28 has the other, so that the last 24 are made by a run of their own.
  const batch = [sampleOf([1, 4, 6]), sampleOf([1, 2, 10]), sampleOf([1, 2, 14]), sampleOf([1, 4, 6])];
  // 19 rows are too many to keep, 6 are not.
  await check(10, [batch]);
});
