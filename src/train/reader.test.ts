// The bundled model with its products in 8 bits beside float32.
import { afterAll, expect, test } from 'vitest';
import { drawSample } from '../data/synthetic/sample.ts';
import { encodePng } from '../formats/png.ts';
import { readAll } from '../generate/read.ts';
import type { Reading } from '../generate/second_look.ts';
import { imagePrompt } from '../models/qwen2_vl/session.ts';
import { openReader, type Reader } from './reader.ts';

const readers: Reader[] = [];
afterAll(() => Promise.all(readers.map(({ generator }) => generator.dispose())));

/** What it reads of drawn formulas, `batchSize` at once. */
async function readingsOf(dtype: 'float32' | 'int8', pictures: Uint8Array[], batchSize: number): Promise<Reading[]> {
  const reader = await openReader({ device: 'cpu', dtype, secondLook: false });
  readers.push(reader);
  const { generator, model, defaults } = reader;
  const prompts = await Promise.all(pictures.map((picture, i) => imagePrompt(model, picture, `${i}`)));
  return readAll(generator, model.processor.tokenizer, prompts, { ...defaults, maxNewTokens: 40, batchSize });
}

test('int8 reads what float32 reads, alone and together', async () => {
  const draw = (_: unknown, i: number) => drawSample({ seed: 5, style: 'printed', level: 'easy' }, i);
  const samples = await Promise.all(Array.from({ length: 6 }, draw));
  const pictures = samples.map(encodePng);
  const [float32, int8] = [await readingsOf('float32', pictures, 6), await readingsOf('int8', pictures, 6)];
  const texts = (readings: Reading[]) => readings.map(({ text }) => text);
  expect(texts(int8)).toEqual(texts(float32));
  expect(texts(await readingsOf('int8', pictures, 1))).toEqual(texts(float32));
  // It is computed otherwise: float32 in another order moves probabilities by less than 1e-5.
  expect(Math.max(...int8.map(({ confidence }, i) => Math.abs(confidence - float32[i]!.confidence)))).toBeGreaterThan(
    1e-5,
  );
});
