// Makes a new small Qwen2-VL-architecture model: random weights and a tokenizer of LaTeX commands and characters.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '../../formats/safetensors.ts';
import { Random } from '../../shared/random.ts';
import { readConfig } from './config.ts';
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

const SPECIAL = [
  '<unk>',
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|image_pad|>',
  '<|video_pad|>',
];
/** A LaTeX word: an environment's begin or end, a bracket that grows, a command, an escaped character, or one character. */
const WORD = '\\\\(?:begin|end) ?\\{[a-z]+\\*?\\}|\\\\(?:left|right) ?[()\\[\\]|]|\\\\[a-zA-Z]+|\\\\.|\\S';
const TEMPLATE =
  "{% for message in messages %}<|im_start|>{% for part in message['content'] %}{% if part['type'] == 'image' %}" +
  "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}<|im_start|>";

/** Writes a snapshot; `commands` are the LaTeX words of its vocabulary, beside all printable ASCII characters. */
export async function createModel(
  folder: string,
  commands: readonly string[],
  size: ModelSize,
  seed: number,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const words = [...new Set([...SPECIAL, ...characters, ...commands])];
  const id = (word: string) => words.indexOf(word);
  const json = (name: string, value: unknown) => writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  const special = SPECIAL.map((content, i) => ({
    id: i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  await json('tokenizer.json', {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: { type: 'Split', pattern: { Regex: WORD }, behavior: 'Removed', invert: true },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab: Object.fromEntries(words.map((word, i) => [word, i])), unk_token: '<unk>' },
  });
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
    vocab_size: words.length,
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
    // A formula is some ten columns wide: the usual 10,000 would turn neighbouring columns by less than 0.003 radians.
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
