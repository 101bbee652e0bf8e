// Qwen2-VL's config.json, in the hub's flat layout and in the newer one that nests text_config, and generation_config.json.
import { join } from 'node:path';
import { z } from 'zod';
import { readOptionalJson } from '../../formats/json_file.ts';
import { InputError } from '../../shared/errors.ts';

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
  readonly videoTokenId: number;
  readonly visionStartTokenId: number;
  readonly visionEndTokenId: number;
  /** ids that end generation */
  readonly eosTokenIds: readonly number[];
  readonly repetitionPenalty: number;
}

/** Of the channels, as the processor normalises pixels. */
export const PIXEL_MEAN = [0.48145466, 0.4578275, 0.40821073].map(Math.fround);
export const PIXEL_DEVIATION = [0.26862954, 0.26130258, 0.27577711].map(Math.fround);

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
  video_token_id: size.default(151656),
  vision_start_token_id: size.default(151652),
  vision_end_token_id: size.default(151653),
  eos_token_id: z.union([size, z.array(size)]).nullish(),
});

/** Reads a snapshot's configuration; every fault is listed in one InputError. */
export async function readConfig(folder: string): Promise<Qwen2VLConfig> {
  const file = join(folder, 'config.json');
  const json = await readOptionalJson(file);
  if (json === null) throw new InputError(`${file}: not found; give the folder of a Qwen2-VL snapshot.`);
  const root = Root.safeParse(json);
  const nested = root.success
    ? (root.data.text_config ?? root.data)
    : ((json as { text_config?: unknown })?.text_config ?? json);
  const text = Text.safeParse(nested);
  const faults = [root, text].flatMap((r) =>
    r.success ? [] : r.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`),
  );
  const rope = text.data?.rope_scaling ?? text.data?.rope_parameters;
  if (text.success) faults.push(...textFaults(text.data, rope?.mrope_section ?? []));
  if (root.success) faults.push(...visionFaults(root.data.vision_config, text.data?.hidden_size));
  if (!root.success || !text.success || faults.length > 0)
    throw new InputError(
      `${file}: not a Qwen2-VL configuration this version reads:\n  ${[...new Set(faults)].join('\n  ')}\n` +
        "Give the folder of a Qwen2-VL snapshot, with the hub's config.json.",
    );
  const t = text.data;
  const v = root.data.vision_config;
  const headDim = t.hidden_size / t.num_attention_heads;
  const mropeSection = rope?.mrope_section ?? [];
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
    videoTokenId: root.data.video_token_id,
    visionStartTokenId: root.data.vision_start_token_id,
    visionEndTokenId: root.data.vision_end_token_id,
    eosTokenIds: Array.isArray(eos) ? eos : [eos],
    repetitionPenalty: generation.repetition_penalty,
  };
}

function textFaults(t: z.infer<typeof Text>, mropeSection: readonly number[]): string[] {
  const faults: string[] = [];
  const headDim = t.hidden_size / t.num_attention_heads;
  if (!Number.isInteger(headDim / 2))
    faults.push(
      `hidden_size: ${t.hidden_size} must be an even multiple of num_attention_heads ${t.num_attention_heads}`,
    );
  if (t.num_attention_heads % t.num_key_value_heads !== 0)
    faults.push(
      `num_key_value_heads: ${t.num_key_value_heads} must divide num_attention_heads ${t.num_attention_heads}`,
    );
  if (mropeSection.reduce((a, b) => a + b, 0) !== headDim / 2)
    faults.push(
      `rope_scaling.mrope_section: [${mropeSection.join(', ')}] must add up to half the head dimension ${headDim}`,
    );
  return faults;
}

function visionFaults(v: z.infer<typeof Vision>, hidden: number | undefined): string[] {
  const faults: string[] = [];
  if (hidden !== undefined && v.hidden_size !== hidden)
    faults.push(`vision_config.hidden_size: ${v.hidden_size} must equal the text's hidden_size ${hidden}`);
  if (!Number.isInteger(v.embed_dim / v.num_heads / 4))
    faults.push(`vision_config.embed_dim: ${v.embed_dim} must be a multiple of 4 · num_heads ${v.num_heads}`);
  if ((v.in_chans ?? v.in_channels) !== 3)
    faults.push(`vision_config.in_channels: ${v.in_chans ?? v.in_channels} given, images have 3`);
  return faults;
}

const Generation = z.looseObject({
  eos_token_id: z.union([size, z.array(size)]).optional(),
  repetition_penalty: z.number().positive().default(1),
});

async function readGenerationConfig(folder: string): Promise<z.infer<typeof Generation>> {
  const file = join(folder, 'generation_config.json');
  const json = (await readOptionalJson(file)) ?? {};
  const parsed = Generation.safeParse(json);
  if (!parsed.success) throw new InputError(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
