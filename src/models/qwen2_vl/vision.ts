// Qwen2-VL's vision tower and merger: patches in, one row a merged 2×2 block out (arXiv 2409.12191).
import type { Value } from '../../graph/graph.ts';
import { inverseFrequencies, rotaryTables } from '../../nn/rotary.ts';
import type { Scope } from '../../nn/scope.ts';
import { add } from '../../ops/add.ts';
import { attention } from '../../ops/attention.ts';
import { gelu } from '../../ops/gelu.ts';
import { layerNorm } from '../../ops/layer_norm.ts';
import { matmul } from '../../ops/matmul.ts';
import { reshape } from '../../ops/reshape.ts';
import { rope } from '../../ops/rope.ts';
import { split } from '../../ops/split.ts';
import type { Qwen2VLConfig } from './config.ts';

const LAYER_NORM_EPS = 1e-6;
const ROPE_THETA = 10000;

export interface VisionInputs {
  /** [P, channels·temporal·patch²] in the compute dtype */
  patches: Value;
  /** i32 [P]: each patch's row and column in its image's grid */
  rows: Value;
  columns: Value;
  /** i32 [P]: equal within one frame of one image */
  segments: Value;
}

/** Image features [P / merge², H]; `row` is the block of patches that no image crosses. */
export function visionTower(scope: Scope, config: Qwen2VLConfig, inputs: VisionInputs, row: number): Value {
  const { embedDim, heads, depth, mlpRatio, mergeSize, patchSize, temporalPatchSize, inChannels } = config.vision;
  const patches = inputs.patches.shape[0] as number;
  const headDim = embedDim / heads;
  const norm = (x: Value, name: string) =>
    layerNorm(x, scope.weight(`${name}.weight`, [embedDim]), scope.weight(`${name}.bias`, [embedDim]), LAYER_NORM_EPS);

  const inverse = inverseFrequencies(ROPE_THETA, headDim / 2);
  // A grid side is at most row / merge patches long, since the other side is at least merge.
  const axes = [inputs.rows, inputs.columns].map((positions) => ({ positions, inverse }));
  const { cos, sin } = rotaryTables(scope.graph, axes, row);

  const kernel = scope.weight('visual.patch_embed.proj.weight', [
    embedDim,
    inChannels,
    temporalPatchSize,
    patchSize,
    patchSize,
  ]);
  let x = matmul(inputs.patches, reshape(kernel, [embedDim, inputs.patches.shape[1] as number]), { transB: true });
  for (let i = 0; i < depth; i++) {
    const block = `visual.blocks.${i}`;
    scope.graph.checkpoint(x);
    const qkv = scope.linear(norm(x, `${block}.norm1`), { name: `${block}.attn.qkv`, out: 3 * embedDim, bias: true });
    const [q, k, v] = split(qkv, 1, [embedDim, embedDim, embedDim]).map((x) => reshape(x, [patches, heads, headDim]));
    const attended = attention(rope(q!, cos, sin), rope(k!, cos, sin), v!, inputs.segments, {
      row,
      causal: false,
      scale: headDim ** -0.5,
    });
    x = add(
      x,
      scope.linear(reshape(attended, [patches, embedDim]), { name: `${block}.attn.proj`, out: embedDim, bias: true }),
    );
    const inner = scope.linear(norm(x, `${block}.norm2`), {
      name: `${block}.mlp.fc1`,
      out: embedDim * mlpRatio,
      bias: true,
    });
    x = add(x, scope.linear(gelu(inner, 'quick'), { name: `${block}.mlp.fc2`, out: embedDim, bias: true }));
  }
  const width = embedDim * mergeSize ** 2;
  const merged = reshape(norm(x, 'visual.merger.ln_q'), [patches / mergeSize ** 2, width]);
  const inner = scope.linear(merged, { name: 'visual.merger.mlp.0', out: width, bias: true });
  return scope.linear(gelu(inner, 'erf'), { name: 'visual.merger.mlp.2', out: config.vision.hiddenSize, bias: true });
}
