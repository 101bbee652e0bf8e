// Qwen2-VL's config.json, in the hub's flat layout and in the newer one that nests text_config, and generation_config.json.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, messageOf } from '../../shared/errors.ts';

export interface Qwen2VLConfig {
  readonly text: {
    readonly vocabSize: number;
    readonly hiddenSize: number;
    readonly intermediateSize: number;
    readonly layers: number;
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly rmsNormEps: number;
    readonly ropeTheta: number;
    /** frequencies turned by the temporal, height and width position */
    readonly mropeSection: readonly number[];
  };
  readonly vision: {
    readonly depth: number;
    readonly embedDim: number;
    readonly heads: number;
    readonly hiddenSize: number;
    readonly mlpRatio: number;
    readonly patchSize: number;
    readonly mergeSize: number;
    readonly temporalPatchSize: number;
    readonly inChannels: number;
  };
  readonly tieWordEmbeddings: boolean;
  readonly imageTokenId: number;
  /** ids that end generation */
  readonly eosTokenIds: readonly number[];
  readonly repetitionPenalty: number;
}

const size = z.int().positive();
const Rope = z.looseObject({ mrope_section: z.array(size).length(3), rope_theta: z.number().positive().optional() });
const Text = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size,
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().optional(),
  rope_scaling: Rope.nullish(),
  rope_parameters: Rope.nullish(),
  use_sliding_window: z.literal(false, 'sliding-window attention is not supported').default(false),
});
const Vision = z.looseObject({
  depth: size,
  embed_dim: size,
  num_heads: size,
  hidden_size: size,
  mlp_ratio: size.default(4),
  patch_size: size.default(14),
  spatial_patch_size: size.optional(),
  spatial_merge_size: size.default(2),
  temporal_patch_size: size.default(2),
  in_channels: size.default(3),
  in_chans: size.optional(),
  hidden_act: z.literal('quick_gelu').default('quick_gelu'),
});
const Root = z.looseObject({
  model_type: z.literal('qwen2_vl', "this version reads models of type 'qwen2_vl'"),
  text_config: z.record(z.string(), z.unknown()).optional(),
  vision_config: Vision,
  tie_word_embeddings: z.boolean().optional(),
  image_token_id: size.default(151655),
  eos_token_id: z.union([size, z.array(size)]).nullish(),
});

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    throw new InputError(
      `${file}: expected JSON of a Qwen2-VL snapshot (${messageOf(error)}). Give the snapshot's folder.`,
    );
  }
}

/** Reads a snapshot's configuration; every fault is listed in one InputError. */
export async function readConfig(folder: string): Promise<Qwen2VLConfig> {
  const file = join(folder, 'config.json');
  const json = await readJson(file);
  const root = Root.safeParse(json);
  const nested = root.success
    ? (root.data.text_config ?? root.data)
    : ((json as { text_config?: unknown })?.text_config ?? json);
  const text = Text.safeParse(nested);
  const faults = [root, text].flatMap((r) =>
    r.success ? [] : r.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`),
  );
  if (!root.success || !text.success)
    throw new InputError(`${file}: not a Qwen2-VL configuration:\n  ${[...new Set(faults)].join('\n  ')}`);
  const t = text.data;
  const v = root.data.vision_config;
  const rope = t.rope_scaling ?? t.rope_parameters;
  const headDim = t.hidden_size / t.num_attention_heads;
  const mropeSection = rope?.mrope_section ?? [];
  if (mropeSection.reduce((a, b) => a + b, 0) !== headDim / 2)
    throw new InputError(
      `${file}: mrope_section [${mropeSection.join(', ')}] must add up to half the head dimension ${headDim}.`,
    );
  if (v.hidden_size !== t.hidden_size)
    throw new InputError(
      `${file}: vision_config.hidden_size ${v.hidden_size} must equal the text's hidden_size ${t.hidden_size}.`,
    );
  const generation = await readGenerationConfig(folder);
  const eos =
    generation.eos_token_id ?? root.data.eos_token_id ?? (nested as { eos_token_id?: number }).eos_token_id ?? [];
  return {
    text: {
      vocabSize: t.vocab_size,
      hiddenSize: t.hidden_size,
      intermediateSize: t.intermediate_size,
      layers: t.num_hidden_layers,
      heads: t.num_attention_heads,
      kvHeads: t.num_key_value_heads,
      headDim,
      rmsNormEps: t.rms_norm_eps,
      ropeTheta: t.rope_theta ?? rope?.rope_theta ?? 1e6,
      mropeSection,
    },
    vision: {
      depth: v.depth,
      embedDim: v.embed_dim,
      heads: v.num_heads,
      hiddenSize: v.hidden_size,
      mlpRatio: v.mlp_ratio,
      patchSize: v.spatial_patch_size ?? v.patch_size,
      mergeSize: v.spatial_merge_size,
      temporalPatchSize: v.temporal_patch_size,
      inChannels: v.in_chans ?? v.in_channels,
    },
    tieWordEmbeddings:
      root.data.tie_word_embeddings ?? (nested as { tie_word_embeddings?: boolean }).tie_word_embeddings ?? false,
    imageTokenId: root.data.image_token_id,
    eosTokenIds: Array.isArray(eos) ? eos : [eos],
    repetitionPenalty: generation.repetition_penalty,
  };
}

const Generation = z.looseObject({
  eos_token_id: z.union([size, z.array(size)]).optional(),
  repetition_penalty: z.number().positive().default(1),
});

async function readGenerationConfig(folder: string): Promise<z.infer<typeof Generation>> {
  const file = join(folder, 'generation_config.json');
  const text = await readFile(file, 'utf8').catch(() => '{}');
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Told as a fault below.
  }
  const parsed = Generation.safeParse(json);
  if (!parsed.success) throw new InputError(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
