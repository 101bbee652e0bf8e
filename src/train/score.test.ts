// Scores are of what predict reads.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBackend } from '../backends/open.ts';
import { drawSample } from '../data/synthetic/sample.ts';
import { encodePng } from '../formats/png.ts';
import { readAll } from '../generate/read.ts';
import { imagePrompt } from '../models/qwen2_vl/session.ts';
import { openReader } from './reader.ts';
import { scoreModel } from './score.ts';

test('a model’s own repetition penalty holds where it is scored as where it reads', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'texlens-score-'));
  try {
    await cp('models/base', folder, { recursive: true });
    const settings = join(folder, 'generation_config.json');
    const generation = JSON.parse(await readFile(settings, 'utf8')) as object;
    await writeFile(settings, JSON.stringify({ ...generation, repetition_penalty: 3 }));
    const image = join(folder, 'formula.png');
    const { latex, ...picture } = await drawSample({ seed: 8, style: 'printed', level: 'medium' }, 0);
    await writeFile(image, encodePng(picture));

    const scored = async (model: string): Promise<string> => {
      const options = { model, maxNewTokens: 60, secondLook: false as const };
      const { pairs } = await scoreModel(
        [{ images: [image], text: latex }],
        await openBackend({ device: 'cpu' }),
        options,
      );
      return pairs[0]!.prediction;
    };
    const reader = await openReader({ device: 'cpu', model: folder });
    const prompt = await imagePrompt(reader.model, image);
    const [read] = await readAll(reader.generator, reader.model.processor.tokenizer, [prompt], {
      ...reader.defaults,
      maxNewTokens: 60,
      batchSize: 1,
    });
    await reader.generator.dispose();
    expect(await scored(folder)).toBe(read!.text);
    // A penalty of 3 is felt.
    expect(await scored('models/base')).not.toBe(read!.text);
  } finally {
    await rm(folder, { recursive: true });
  }
});
