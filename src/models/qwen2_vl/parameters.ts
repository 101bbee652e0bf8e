// Qwen2-VL's parameters: published names and shapes, the towers they belong to, and the two key layouts.
import type { Qwen2VLConfig } from './config.ts';

export const TOWERS = ['patches', 'vision', 'merger', 'text'] as const;
/** `patches` is the projection of raw pixels, `vision` the blocks behind it. */
export type Tower = (typeof TOWERS)[number];

export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Every parameter by its published (hub) name. */
export function parameters(config: Qwen2VLConfig): Parameter[] {
  const { text, vision } = config;
  const E = vision.embedDim;
  const H = text.hiddenSize;
  const M = E * vision.mergeSize ** 2;
  const out: Parameter[] = [];
  const weight = (name: string, ...shape: number[]) => out.push({ name: `${name}.weight`, shape });
  const affine = (name: string, rows: number, ...columns: number[]) => {
    weight(name, rows, ...columns);
    out.push({ name: `${name}.bias`, shape: [rows] });
  };
  weight('visual.patch_embed.proj', E, vision.inChannels, vision.temporalPatchSize, vision.patchSize, vision.patchSize);
  for (let i = 0; i < vision.depth; i++) {
    const block = `visual.blocks.${i}`;
    affine(`${block}.norm1`, E);
    affine(`${block}.norm2`, E);
    affine(`${block}.attn.qkv`, 3 * E, E);
    affine(`${block}.attn.proj`, E, E);
    affine(`${block}.mlp.fc1`, E * vision.mlpRatio, E);
    affine(`${block}.mlp.fc2`, E, E * vision.mlpRatio);
  }
  affine('visual.merger.ln_q', E);
  affine('visual.merger.mlp.0', M, M);
  affine('visual.merger.mlp.2', vision.hiddenSize, M);
  weight('model.embed_tokens', text.vocabSize, H);
  for (let i = 0; i < text.layers; i++) {
    const layer = `model.layers.${i}`;
    weight(`${layer}.input_layernorm`, H);
    weight(`${layer}.post_attention_layernorm`, H);
    affine(`${layer}.self_attn.q_proj`, text.heads * text.headDim, H);
    affine(`${layer}.self_attn.k_proj`, text.kvHeads * text.headDim, H);
    affine(`${layer}.self_attn.v_proj`, text.kvHeads * text.headDim, H);
    weight(`${layer}.self_attn.o_proj`, H, text.heads * text.headDim);
    weight(`${layer}.mlp.gate_proj`, text.intermediateSize, H);
    weight(`${layer}.mlp.up_proj`, text.intermediateSize, H);
    weight(`${layer}.mlp.down_proj`, H, text.intermediateSize);
  }
  weight('model.norm', H);
  if (!config.tieWordEmbeddings) weight('lm_head', text.vocabSize, H);
  return out;
}

/** The linear layers that LoRA can reach: module name and [out, in]. */
export function linearModules(config: Qwen2VLConfig): { name: string; out: number; in: number }[] {
  return parameters(config).flatMap(({ name, shape }) => {
    const module = name.slice(0, -'.weight'.length);
    const linear = name.endsWith('.weight') && shape.length === 2 && !/embed_tokens|lm_head/.test(name);
    return linear ? [{ name: module, out: shape[0] as number, in: shape[1] as number }] : [];
  });
}

export function towerOf(name: string): Tower {
  if (name.startsWith('visual.patch_embed.')) return 'patches';
  if (name.startsWith('visual.merger.')) return 'merger';
  return name.startsWith('visual.') ? 'vision' : 'text';
}

/** A key of either published layout under its hub name (transformers ≥ 4.52 nests the two towers under `model.`). */
export function hubName(key: string): string {
  if (key.startsWith('model.visual.')) return key.slice('model.'.length);
  if (key.startsWith('model.language_model.')) return `model.${key.slice('model.language_model.'.length)}`;
  return key;
}

/** The nested layout's name of a hub name. */
export function nestedName(name: string): string {
  if (name.startsWith('visual.')) return `model.${name}`;
  return name.startsWith('model.') ? `model.language_model.${name.slice('model.'.length)}` : name;
}
