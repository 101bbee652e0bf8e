// Makes a new small Qwen2-VL-architecture model: random weights and a tokenizer of LaTeX commands and characters.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '../../formats/safetensors.ts';
import { Random } from '../../shared/random.ts';
import { readConfig } from './config.ts';
import { latexTokenizer, SPECIAL_TOKENS, vocabularyOf } from './latex_tokenizer.ts';
import { parameters, towerOf } from './parameters.ts';

export interface ModelSize {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly visionWidth: number;
  readonly visionDepth: number;
  readonly visionHeads: number;
}

export const SMALL: ModelSize = {
  hidden: 192,
  intermediate: 512,
  layers: 3,
  heads: 3,
  kvHeads: 3,
  visionWidth: 128,
  visionDepth: 4,
  visionHeads: 4,
};

/** Reads real formulas, after a training of hours on one card. */
export const BASE: ModelSize = {
  hidden: 384,
  intermediate: 1024,
  layers: 6,
  heads: 6,
  kvHeads: 2,
  visionWidth: 256,
  visionDepth: 8,
  visionHeads: 4,
};

export const SIZES = { small: SMALL, base: BASE } as const;

const TEMPLATE =
  "{% for message in messages %}<|im_start|>{% for part in message['content'] %}{% if part['type'] == 'image' %}" +
  "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}<|im_start|>";

/** Writes a snapshot; `words` are canonical tokens and phrases of its vocabulary, beside all printable ASCII characters. */
export async function createModel(
  folder: string,
  words: readonly string[],
  size: ModelSize,
  seed: number,
): Promise<{ readonly entries: number; readonly parameters: number }> {
  await mkdir(folder, { recursive: true });
  const entries = vocabularyOf(words);
  const id = (token: (typeof SPECIAL_TOKENS)[number]) => SPECIAL_TOKENS.indexOf(token);
  const json = (name: string, value: unknown) => writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  await json('tokenizer.json', latexTokenizer(words));
  await json('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    unk_token: '<unk>',
    eos_token: '<|im_end|>',
    pad_token: '<|endoftext|>',
    clean_up_tokenization_spaces: false,
    chat_template: TEMPLATE,
  });
  const headDim = size.hidden / size.heads;
  // Columns are what reading needs most; M-RoPE's sections go from fast to slow turning: time, rows, columns.
  const time = headDim / 32;
  const rows = (3 * headDim) / 32;
  await json('config.json', {
    architectures: ['Qwen2VLForConditionalGeneration'],
    model_type: 'qwen2_vl',
    bos_token_id: id('<|endoftext|>'),
    eos_token_id: id('<|im_end|>'),
    image_token_id: id('<|image_pad|>'),
    video_token_id: id('<|video_pad|>'),
    vision_start_token_id: id('<|vision_start|>'),
    vision_end_token_id: id('<|vision_end|>'),
    vocab_size: entries.length,
    hidden_size: size.hidden,
    intermediate_size: size.intermediate,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    num_key_value_heads: size.kvHeads,
    max_position_embeddings: 4096,
    max_window_layers: size.layers,
    use_sliding_window: false,
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    // Formulas are up to some forty columns wide, and ten rows high. With heads of 64, a column turns the 24 waves of
    // columns by 0.47 to 0.055 radians, a row the 6 of rows by 0.83 to 0.52: neighbours differ, and the slowest wave
    // keeps 57 columns and 6 rows either way within half a turn. The usual 10,000 would turn columns by 0.1 to 0.00013.
    rope_theta: 20,
    rope_scaling: { type: 'mrope', mrope_section: [time, rows, headDim / 2 - time - rows] },
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    vision_config: {
      model_type: 'qwen2_vl',
      depth: size.visionDepth,
      embed_dim: size.visionWidth,
      num_heads: size.visionHeads,
      hidden_size: size.hidden,
      mlp_ratio: 4,
      patch_size: 14,
      spatial_merge_size: 2,
      temporal_patch_size: 2,
      in_channels: 3,
    },
  });
  await json('generation_config.json', {
    eos_token_id: [id('<|im_end|>'), id('<|endoftext|>')],
    repetition_penalty: 1,
  });
  await json('preprocessor_config.json', {
    min_pixels: 784,
    max_pixels: 1_003_520,
    patch_size: 14,
    merge_size: 2,
    temporal_patch_size: 2,
  });
  const config = await readConfig(folder);
  const tensors = new Map(
    parameters(config).map(({ name, shape }, i) => {
      const random = Random.from(seed, i, 5);
      return [
        name,
        {
          shape,
          data: initial(name, shape, name.startsWith('visual.') ? config.vision.depth : config.text.layers, random),
        },
      ];
    }),
  );
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { dtype: 'F32', metadata: { format: 'pt' } });
  const count = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  return { entries: entries.length, parameters: count };
}

/** Layers whose products add up along the residual stream. */
const WRITES_RESIDUAL = /\.(o_proj|down_proj|attn\.proj|fc2)\.weight$/;

/**
 * Norm weights start at one, biases at zero, matrices at normal(0, 1 / inputs): in so narrow a model the usual deviation
 * of 0.02 would leave every product a fraction of its input, and attention blind.
 */
function initial(name: string, shape: readonly number[], depth: number, random: Random): Float32Array {
  if (towerOf(name) === 'patches') return cosineKernels(shape);
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  if (shape.length === 1) return name.endsWith('.weight') ? data.fill(1) : data;
  const deviation = (shape[1] as number) ** -0.5 * (WRITES_RESIDUAL.test(name) ? (2 * depth) ** -0.5 : 1);
  return data.map(() => deviation * random.normal());
}

/**
 * Patch kernels [E, channels, frames, size, size]: the slowest two-dimensional cosines (DCT-II), the faster the stronger,
 * so that strokes reach each with about the same deviation; kernels beyond their number are zero. White paper is some
 * ten times as strong a signal as ink: only the first kernel, held low, sees it. Were the kernels trained, paper would
 * pull at all of them, so they stay frozen, as Chen et al. (arXiv 2104.02057) keep random ones.
 */
function cosineKernels(shape: readonly number[]): Float32Array {
  const [kernels, channels, frames, size] = shape as [number, number, number, number, number];
  const area = size * size;
  const copies = channels * frames;
  const waves = Array.from({ length: area }, (_, i) => [Math.floor(i / size), i % size] as const);
  waves.sort(([a, b], [c, d]) => a * a + b * b - c * c - d * d);
  const cosine = (k: number, at: number) =>
    Math.sqrt((k > 0 ? 2 : 1) / size) * Math.cos((Math.PI * (at + 0.5) * k) / size);
  const data = new Float32Array(kernels * copies * area);
  for (const [e, [v, u]] of waves.slice(0, kernels).entries()) {
    // Over patches of printed formulas a wave's deviation falls about like 2 · exp(−waves in 28 pixels / 6).
    const gain = e === 0 ? 1 / 6 : Math.exp(((14 / size) * Math.hypot(u, v)) / 6) / 2.2;
    for (let copy = 0; copy < copies; copy++)
      for (let p = 0; p < area; p++)
        data[(e * copies + copy) * area + p] = (gain / copies) * cosine(v, Math.floor(p / size)) * cosine(u, p % size);
  }
  return data;
}
