// Samples drawn while training: which ones a stretch holds.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Processor } from '../models/qwen2_vl/processor.ts';
import { DrawnSamples } from './drawn_samples.ts';

const MODEL = 'models/base';
const BUCKET = { tokens: 2048, row: 512, patches: 8192, patchRow: 2048, labels: 1024 };

describe('blocks that are trained twice', () => {
  let drawn: DrawnSamples;
  beforeAll(async () => {
    const processor = await Processor.load(MODEL, { minPixels: 784, maxPixels: 100_000 });
    const draw = { seed: 4, style: 'printed', level: 'sums' } as const;
    drawn = await DrawnSamples.open(MODEL, processor, { draw, prompt: '\\LaTeX', block: 6, passes: 2, workers: 1 });
    drawn.fit(BUCKET);
  });
  afterAll(() => drawn.close());

  test('two stretches hold one block, the next two another, and each block counts once', async () => {
    const names: string[][] = [];
    for (let n = 0; n < 4; n++) names.push((await drawn.stretch(n)).samples.map(({ name }) => name));
    expect(names[0]).toEqual(Array.from({ length: 6 }, (_, i) => `drawn sample ${i}`));
    expect(names[1]).toEqual(names[0]);
    expect(names[2]).toEqual(Array.from({ length: 6 }, (_, i) => `drawn sample ${6 + i}`));
    expect(names[3]).toEqual(names[2]);
  });

  test('what does not fit is counted with its block, not with every pass', async () => {
    const lengths = (await drawn.stretch(4)).samples.map(({ ids }) => ids.length).sort((a, b) => a - b);
    const row = lengths[2]!;
    drawn.fit({ ...BUCKET, row });
    const fitting = lengths.filter((tokens) => tokens <= row).length;
    expect((await drawn.stretch(4)).samples).toHaveLength(fitting);
    expect((await drawn.stretch(5)).samples).toHaveLength(fitting);
    expect(drawn.dropped).toBe(6 - fitting);
    expect(drawn.dropped).toBeGreaterThan(0);
  });
});
