// The tutorial's whole run on a card, through the command line, with a model folder of the Qwen2-VL-2B shape (random
// weights, so that what it reads says nothing; what it takes does): prepare, train with the recipe as it stands and
// with larger batches, predict with the adapter. Wall seconds of each command, and samples a second of training.
// Run: npm run build, then on the machine with the card
//   node bench/run.mjs mission TOKENIZER.json FOLDER    (Qwen2's tokenizer; 5 GB in FOLDER)    The last line is JSON.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../src/formats/safetensors.ts';
import { sizeOf } from '../src/graph/types.ts';
import { parameters } from '../src/models/qwen2_vl/parameters.ts';
import { Random } from '../src/shared/random.ts';
import { openRun } from '../src/tracker/reader.ts';
import { QWEN2_VL_2B } from './cuda/model.ts';

const [tokenizer, folder] = process.argv.slice(2) as [string, string];
if (!tokenizer || !folder) throw new Error('expected TOKENIZER.json FOLDER');

/** A folder as the hub's, but for the weights. */
async function writeModel(to: string): Promise<void> {
  const { text, vision, tieWordEmbeddings } = QWEN2_VL_2B;
  mkdirSync(to, { recursive: true });
  copyFileSync(tokenizer, join(to, 'tokenizer.json'));
  const json = (name: string, value: unknown) => writeFileSync(join(to, name), JSON.stringify(value));
  json('config.json', {
    ...{
      architectures: ['Qwen2VLForConditionalGeneration'],
      model_type: 'qwen2_vl',
      tie_word_embeddings: tieWordEmbeddings,
    },
    ...{ vocab_size: text.vocabSize, hidden_size: text.hiddenSize, intermediate_size: text.intermediateSize },
    ...{ num_hidden_layers: text.layers, num_attention_heads: text.heads, num_key_value_heads: text.kvHeads },
    ...{ rms_norm_eps: text.rmsNormEps, rope_theta: text.ropeTheta },
    rope_scaling: { type: 'mrope', mrope_section: text.mropeSection },
    ...{ image_token_id: QWEN2_VL_2B.imageTokenId, video_token_id: QWEN2_VL_2B.videoTokenId },
    ...{ vision_start_token_id: QWEN2_VL_2B.visionStartTokenId, vision_end_token_id: QWEN2_VL_2B.visionEndTokenId },
    vision_config: {
      ...{ depth: vision.depth, embed_dim: vision.embedDim, num_heads: vision.heads, hidden_size: vision.hiddenSize },
      ...{ mlp_ratio: vision.mlpRatio, patch_size: vision.patchSize, spatial_merge_size: vision.mergeSize },
      ...{ temporal_patch_size: vision.temporalPatchSize, in_channels: vision.inChannels },
    },
  });
  json('generation_config.json', { eos_token_id: QWEN2_VL_2B.eosTokenIds });
  json('preprocessor_config.json', {
    min_pixels: 3136,
    max_pixels: 12845056,
    patch_size: 14,
    merge_size: 2,
    temporal_patch_size: 2,
  });
  const random = Random.from(1);
  const noise = Float32Array.from({ length: 1 << 22 }, () => 0.02 * random.normal());
  // Tensors of one size share their numbers.
  const made = new Map<string, Float32Array>();
  const tensors = parameters(QWEN2_VL_2B).map(({ name, shape }) => {
    const isNorm = shape.length === 1 && name.endsWith('.weight');
    const key = `${sizeOf(shape)} ${isNorm}`;
    const data = made.get(key) ?? new Float32Array(sizeOf(shape)).fill(1);
    if (!isNorm && !made.has(key))
      for (let at = 0; at < data.length; at += noise.length) data.set(noise.subarray(0, data.length - at), at);
    made.set(key, data);
    return [name, { shape, data }] as const;
  });
  await writeSafetensors(join(to, 'model.safetensors'), new Map(tensors), { dtype: 'BF16' });
}

const seconds: Record<string, number> = {};
function texlens(title: string, ...args: string[]): Record<string, number> {
  console.log(`texlens ${args.join(' ')}`);
  const started = performance.now();
  const command = ['dist/cli/main.js', ...args, '--json'];
  const out = execFileSync(process.execPath, command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  seconds[title] = Math.round(performance.now() - started) / 1000;
  return JSON.parse(out.trim().split('\n').at(-1)!) as Record<string, number>;
}

const [model, data] = [join(folder, 'model'), join(folder, 'data')];
if (!existsSync(join(model, 'model.safetensors'))) await writeModel(model);
texlens(
  'prepare',
  'prepare',
  '--source',
  'synthetic',
  '--count',
  '1004',
  '--level',
  'medium',
  '--seed',
  '5',
  '--out',
  data,
);

const RUNS: Record<string, string[]> = {
  // 4 micro batches of 1,024 tokens, as the recipe has them
  recipe: [],
  'one batch of 12,288 tokens': ['--set', 'train.batch_tokens=12288', '--set', 'train.accumulate=1'],
};
const results: Record<string, unknown> = {};
for (const [title, flags] of Object.entries(RUNS)) {
  const output = join(folder, 'runs', title.replaceAll(/\W+/g, '-'));
  const paths = [
    '--model',
    model,
    '--set',
    `data.train=${join(data, 'train.json')}`,
    '--set',
    `data.val=${join(data, 'val.json')}`,
  ];
  const shorter = ['--set', 'eval.max_new_tokens=64', '--output', output, '--overwrite', '--device', 'cuda'];
  const { steps, loss } = texlens(`train, ${title}`, 'train', 'recipes/latex-ocr.yaml', ...paths, ...shorter, ...flags);
  const rates = [...(await openRun(output)).rows()].flatMap(({ values }) => values['train/samples_per_second'] ?? []);
  // Evaluations and checkpoints count in the run's own rate.
  results[title] = { steps, loss, samplesPerSecond: rates.at(-1), highest: Math.max(...rates) };
}
const adapter = join(folder, 'runs', 'recipe', 'adapter');
const images = readdirSync(join(data, 'images'))
  .slice(0, 4)
  .map((name) => join(data, 'images', name));
texlens('predict', 'predict', ...images, '--adapter', adapter, '--max-new-tokens', '64', '--device', 'cuda');
console.log(JSON.stringify({ bench: 'mission', seconds, results }));
