// The Qwen2-VL-2B shape with random weights, and the work of the peers' measurements: 504 × 112 pixel images (72 image
// tokens) with real formulas as answers.
import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import type { Backend } from '../../src/backends/contract.ts';
import { f32ToBf16 } from '../../src/formats/half.ts';
import { sizeOf } from '../../src/graph/types.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { parameters } from '../../src/models/qwen2_vl/parameters.ts';
import type { Grid } from '../../src/models/qwen2_vl/positions.ts';
import { Random } from '../../src/shared/random.ts';

export const QWEN2_VL_2B: Qwen2VLConfig = {
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
  repetitionPenalty: 1,
};

export const QWEN2_VL_7B: Qwen2VLConfig = {
  ...QWEN2_VL_2B,
  text: {
    ...QWEN2_VL_2B.text,
    ...{ vocabSize: 152064, hiddenSize: 3584, intermediateSize: 18944, heads: 28, kvHeads: 4 },
  },
  vision: { ...QWEN2_VL_2B.vision, hiddenSize: 3584 },
  tieWordEmbeddings: false,
};

const BLOCK = 1 << 22;

/** Sets every parameter to bfloat16 noise of the size that initialisation gives; norm weights are one. */
export function randomWeights(backend: Backend, config: Qwen2VLConfig): void {
  const random = Random.from(1);
  const noise = f32ToBf16(Float32Array.from({ length: BLOCK }, () => 0.02 * random.normal()));
  // The card has copies, so tensors of one size are made once.
  const made = new Map<string, Uint16Array>();
  for (const { name, shape } of parameters(config)) {
    const isNorm = shape.length === 1 && name.endsWith('.weight');
    const key = `${sizeOf(shape)} ${isNorm}`;
    const data = made.get(key) ?? new Uint16Array(sizeOf(shape));
    if (!made.has(key)) {
      if (isNorm) data.fill(0x3f80);
      else for (let at = 0; at < data.length; at += BLOCK) data.set(noise.subarray(0, data.length - at), at);
      made.set(key, data);
    }
    backend.setState(name, { dtype: 'bf16', shape }, data);
  }
}

const GRID: Grid = [1, 36, 8];
const PROMPT = '你是一个LaText OCR助手,目标是读取用户输入的照片，转换成LaTex公式。';

/** Ids of the recipe's prompt with one image and a formula as the answer, with the file of Qwen2's tokenizer. */
export function sampleEncoder(
  tokenizerFile: string,
): (formula: string, grid: Grid) => Pick<EncodedSample, 'ids' | 'labelStart'> {
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(tokenizerFile, 'utf8')) as object, {});
  const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids as number[];
  const before = encode(
    '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>',
  );
  const after = encode(`<|vision_end|>${PROMPT}<|im_end|>\n<|im_start|>assistant\n`);
  return (formula, [frames, high, wide]) => {
    const pads = new Array<number>((frames * high * wide) / 4).fill(151655);
    const prompt = [...before, ...pads, ...after];
    return { ids: Int32Array.from([...prompt, ...encode(formula), 151643]), labelStart: prompt.length };
  };
}

/** Samples as the peers make them: 72 image tokens of noise, formula `i` of the file. */
export function makeSamples(tokenizerFile: string, formulasFile: string, count: number): EncodedSample[] {
  const encode = sampleEncoder(tokenizerFile);
  const formulas = readFileSync(formulasFile, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const [, high, wide] = GRID;
  const random = Random.from(2);
  return Array.from({ length: count }, (_, i) => {
    const pixels = Uint8Array.from({ length: high * wide * 588 }, () => random.bits());
    const image = { grid: GRID, pixels };
    return { name: `${i}`, ...encode(formulas[i % formulas.length]!, GRID), images: [image] };
  });
}
