// Image features lie where the cache says, whether they are kept, made anew, or both within one micro-batch.
import { expect, test } from 'vitest';
import { Fixture } from '../../test/golden/fixture.ts';
import { createOnnxBackend } from '../backends/onnx/index.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { loadWeights } from '../models/qwen2_vl/load.ts';
import { FEATURES } from '../models/qwen2_vl/programs.ts';
import { Random } from '../shared/random.ts';
import { FeatureCache } from './feature_cache.ts';

const AREA = 4;

test('every sample has its own features, however many rows are kept', async () => {
  const { config, folder } = await Fixture.open('tiny');
  const backend = await createOnnxBackend({ threads: 1 });
  await loadWeights(folder, config, backend);
  const random = Random.from(3);
  const samples = Array.from({ length: 12 }, (_, n): EncodedSample => {
    const grid = [1, 2 * (1 + random.int(3)), 2 * (1 + random.int(4))] as const;
    const pixels = Uint8Array.from({ length: grid[1] * grid[2] * 588 }, () => random.int(256));
    return { name: `${n}`, ids: new Int32Array(0), labelStart: 0, images: [{ grid, pixels }] };
  });
  const width = config.text.hiddenSize;
  const bucket = { patches: 96, patchRow: 48 };
  /** Places batch after batch, and gives the features of each batch's samples. */
  const featuresOf = async (keep: number, batches: readonly EncodedSample[][]): Promise<number[][][]> => {
    const options = { precision: 'f32', keep, bucket } as const;
    const cache = await FeatureCache.create(backend, config, options, FeatureCache.trace(backend, config, options));
    const read: number[][][] = [];
    for (const batch of batches) {
      const { starts, runs } = cache.place(batch);
      await Promise.all(runs);
      const rows = backend.getState(FEATURES).data;
      read.push(
        batch.map(({ images: [image] }, i) => {
          const from = (starts[i]![0]! / AREA) * width;
          return Array.from(rows.subarray(from, from + (image!.pixels.length / 588 / AREA) * width));
        }),
      );
    }
    await cache.dispose();
    return read;
  };

  const alone = (
    await featuresOf(
      0,
      samples.map((sample) => [sample]),
    )
  ).flat();
  const whole = alone.reduce((sum, { length }) => sum + length / width, 0);
  for (let keep = 0; keep <= 1.5 * whole; keep += 5) {
    const shuffled = random.shuffled(samples);
    const batches = [0, 4, 8, 2, 6].map((at) => shuffled.slice(at, at + 4));
    const read = await featuresOf(keep, batches);
    for (const [b, batch] of batches.entries())
      for (const [i, sample] of batch.entries()) {
        const expected = alone[samples.indexOf(sample)]!;
        const worst = read[b]![i]!.reduce((most, x, n) => Math.max(most, Math.abs(x - expected[n]!)), 0);
        // float32 sums of features of size 1, in the order of another place in the batch
        expect(worst, `keep ${keep}, batch ${b}, sample ${i}`).toBeLessThan(1e-5);
      }
  }
});
