// config.json in both layouts, generation_config.json, and every fault at once.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { InputError } from '../../shared/errors.ts';
import { readConfig } from './config.ts';

const nested = JSON.parse(
  readFileSync(new URL('../../../test/golden/processor/config.nested.json', import.meta.url), 'utf8'),
) as object;
/** The 2B model's config.json as the hub has it. */
const FLAT = {
  architectures: ['Qwen2VLForConditionalGeneration'],
  bos_token_id: 151643,
  eos_token_id: 151645,
  vision_start_token_id: 151652,
  vision_end_token_id: 151653,
  vision_token_id: 151654,
  image_token_id: 151655,
  video_token_id: 151656,
  hidden_act: 'silu',
  hidden_size: 1536,
  intermediate_size: 8960,
  model_type: 'qwen2_vl',
  num_attention_heads: 12,
  num_hidden_layers: 28,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000.0,
  tie_word_embeddings: true,
  use_sliding_window: false,
  vision_config: {
    depth: 32,
    embed_dim: 1280,
    mlp_ratio: 4,
    num_heads: 16,
    in_chans: 3,
    hidden_size: 1536,
    patch_size: 14,
    spatial_merge_size: 2,
    spatial_patch_size: 14,
    temporal_patch_size: 2,
  },
  rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
  vocab_size: 151936,
};
const folder = mkdtempSync(join(tmpdir(), 'texlens-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const put = (name: string, value: unknown) =>
  writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
beforeEach(() => put('generation_config.json', { eos_token_id: [151645, 151643], repetition_penalty: 1.05 }));

test('both layouts read the same', async () => {
  put('config.json', FLAT);
  const flat = await readConfig(folder);
  put('config.json', nested);
  expect(await readConfig(folder)).toEqual(flat);
  expect(flat).toEqual({
    text: {
      vocabSize: 151936,
      hiddenSize: 1536,
      intermediateSize: 8960,
      layers: 28,
      heads: 12,
      kvHeads: 2,
      headDim: 128,
      rmsNormEps: 1e-6,
      ropeTheta: 1e6,
      mropeSection: [16, 24, 24],
    },
    vision: {
      depth: 32,
      embedDim: 1280,
      heads: 16,
      hiddenSize: 1536,
      mlpRatio: 4,
      patchSize: 14,
      mergeSize: 2,
      temporalPatchSize: 2,
      inChannels: 3,
    },
    tieWordEmbeddings: true,
    imageTokenId: 151655,
    videoTokenId: 151656,
    visionStartTokenId: 151652,
    visionEndTokenId: 151653,
    eosTokenIds: [151645, 151643],
    repetitionPenalty: 1.05,
  });
});

test('without a generation config the model’s own end counts', async () => {
  rmSync(join(folder, 'generation_config.json'));
  for (const value of [FLAT, nested]) {
    put('config.json', value);
    const config = await readConfig(folder);
    expect(config).toMatchObject({ eosTokenIds: [151645], repetitionPenalty: 1 });
  }
});

test('every fault is told at once', async () => {
  put('config.json', {
    ...FLAT,
    num_key_value_heads: 5,
    rope_scaling: { mrope_section: [16, 24, 8] },
    vision_config: { ...FLAT.vision_config, hidden_size: 1000, in_chans: 1 },
  });
  const error = await readConfig(folder).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(InputError);
  for (const part of [
    'config.json',
    'num_key_value_heads',
    'mrope_section',
    'vision_config.hidden_size',
    'in_channels',
  ])
    expect((error as Error).message).toContain(part);
  const { hidden_size: _, ...rest } = FLAT;
  put('config.json', { ...rest, model_type: 'llama', vocab_size: 'many' });
  const other = await readConfig(folder).catch((e: unknown) => e);
  for (const part of ["'qwen2_vl'", 'hidden_size', 'vocab_size']) expect((other as Error).message).toContain(part);
});

test.each([
  ['config.json', '{', /config\.json: not valid JSON/],
  ['config.json', '3', /config\.json: not a Qwen2-VL configuration/],
  ['generation_config.json', '[', /generation_config\.json: not valid JSON/],
  ['generation_config.json', { repetition_penalty: -1 }, /generation_config\.json: .*/],
])('a broken %s is refused', async (name, value, message) => {
  put('config.json', FLAT);
  put(name, value);
  await expect(readConfig(folder)).rejects.toThrow(message);
  await expect(readConfig(folder)).rejects.toBeInstanceOf(InputError);
});

test('a folder without config.json is refused by name', async () => {
  await expect(readConfig(join(folder, 'none'))).rejects.toThrow(/none\/config\.json: not found/);
});
