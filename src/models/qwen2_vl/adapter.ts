// LoRA adapters in peft's folder format (adapter_config.json, adapter_model.safetensors), read under both key layouts
// and written under the one that current transformers names its modules by; and merging them into the weights.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Backend } from '../../backends/contract.ts';
import { SafetensorsFile, writeSafetensors } from '../../formats/safetensors.ts';
import { Graph } from '../../graph/graph.ts';
import { type LoraSpec, loraA, loraB, loraScale } from '../../nn/scope.ts';
import { add } from '../../ops/add.ts';
import { cast } from '../../ops/cast.ts';
import { matmul } from '../../ops/matmul.ts';
import { mul } from '../../ops/mul.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { Random } from '../../shared/random.ts';
import type { Qwen2VLConfig } from './config.ts';
import { fitTensors, likelyMistake, misfit } from './fit.ts';
import { linearModules, nestedName } from './parameters.ts';

const PREFIX = 'base_model.model.';
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
const ADAPTER_CONFIG = 'adapter_config.json';

const AdapterConfig = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).max(1).default(0),
  use_rslora: z.boolean().default(false),
  base_model_name_or_path: z.string().nullish(),
  use_dora: z.literal(false, 'DoRA adapters are not supported').default(false),
  bias: z.literal('none', 'trained biases are not supported').default('none'),
  target_modules: z.union([z.string(), z.array(z.string())]),
  rank_pattern: z.record(z.string(), z.number()).default({}),
  alpha_pattern: z.record(z.string(), z.number()).default({}),
  modules_to_save: z.null('modules_to_save is not supported').default(null),
});

export interface LoraSettings {
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly rslora: boolean;
  readonly targetModules: readonly string[] | string;
}

/** peft's rule: a list matches a whole name or a suffix after a dot, a string is a regular expression for the whole name. */
export function matchModules(config: Qwen2VLConfig, targets: readonly string[] | string): Set<string> {
  const names = linearModules(config).map((m) => m.name);
  const isNamed = (name: string, target: string) =>
    name === target || name.endsWith(`.${target}`) || nestedName(name) === target;
  let isHit: (name: string) => boolean;
  if (typeof targets === 'string') {
    const pattern = patternOf(targets);
    isHit = (name) => pattern.test(name) || pattern.test(nestedName(name));
  } else {
    isHit = (name) => targets.some((target) => isNamed(name, target));
    const idle = targets.filter((target) => !names.some((name) => isNamed(name, target)));
    if (idle.length > 0)
      throw new InputError(
        `LoRA target modules that match no linear layer: ${idle.join(', ')}. Known names end in: ` +
          `${[...new Set(names.map((n) => n.split('.').at(-1)))].join(', ')}.`,
      );
  }
  const hits = new Set(names.filter(isHit));
  if (hits.size === 0)
    throw new InputError(`LoRA target modules '${String(targets)}' match no linear layer of the model.`);
  return hits;
}

function patternOf(targets: string): RegExp {
  try {
    return new RegExp(`^(?:${targets})$`);
  } catch (error) {
    throw new InputError(
      `LoRA target modules '${targets}': expected a regular expression that JavaScript reads too, or a list of names ` +
        `(${messageOf(error)}).`,
    );
  }
}

export const loraSpec = (config: Qwen2VLConfig, settings: LoraSettings): LoraSpec => ({
  r: settings.r,
  alpha: settings.alpha,
  rslora: settings.rslora,
  modules: matchModules(config, settings.targetModules),
});

/** The adapter's states: name and shape of A [r, in] and B [out, r] of every module, in module order. */
export function loraParameters(config: Qwen2VLConfig, spec: LoraSpec): { name: string; shape: number[] }[] {
  return linearModules(config)
    .filter((m) => spec.modules.has(m.name))
    .flatMap((m) => [
      { name: loraA(m.name), shape: [spec.r, m.in] },
      { name: loraB(m.name), shape: [m.out, spec.r] },
    ]);
}

/** Fresh LoRA states as peft initialises them: A uniform in ±1/√in, B zero. */
export function initLora(config: Qwen2VLConfig, spec: LoraSpec, seed: number, backend: Backend): void {
  loraParameters(config, spec).forEach(({ name, shape }, i) => {
    const data = new Float32Array((shape[0] as number) * (shape[1] as number));
    if (name.endsWith('lora_A.weight')) {
      const random = Random.from(seed, i);
      const bound = 1 / Math.sqrt(shape[1] as number);
      data.forEach((_, j) => {
        data[j] = random.range(-bound, bound);
      });
    }
    backend.setState(name, { dtype: 'f32', shape }, data);
  });
}

/** Writes the adapter's states as a folder that peft loads. */
export async function saveAdapter(
  folder: string,
  config: Qwen2VLConfig,
  settings: LoraSettings,
  backend: Backend,
  base: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = new Map(
    loraParameters(config, loraSpec(config, settings)).map(({ name, shape }) => [
      PREFIX + nestedName(name),
      { shape, data: backend.getState(name).data as Float32Array },
    ]),
  );
  await writeSafetensors(join(folder, ADAPTER_WEIGHTS), tensors, { dtype: 'F32', metadata: { format: 'pt' } });
  const targets =
    typeof settings.targetModules === 'string' ? settings.targetModules : [...settings.targetModules].sort();
  const written = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: settings.alpha,
    lora_dropout: settings.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: settings.r,
    rank_pattern: {},
    revision: null,
    target_modules: targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: settings.rslora,
  };
  await writeFile(join(folder, ADAPTER_CONFIG), `${JSON.stringify(written, null, 2)}\n`);
}

/** Reads adapter_config.json: the settings, and the base model that it names. */
export async function readAdapterConfig(folder: string): Promise<LoraSettings & { readonly base: string | null }> {
  const file = join(folder, ADAPTER_CONFIG);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new InputError(
      `${file}: expected the JSON configuration of a peft adapter; ${messageOf(error)}. Give the folder that holds it.`,
    );
  }
  const parsed = AdapterConfig.safeParse(json);
  if (!parsed.success) throw new InputError(`${file}: ${z.prettifyError(parsed.error)}`);
  const c = parsed.data;
  if (Object.keys(c.rank_pattern).length > 0 || Object.keys(c.alpha_pattern).length > 0)
    throw new InputError(
      `${file}: rank_pattern and alpha_pattern are not supported; expected one r and one lora_alpha for all modules.`,
    );
  return {
    r: c.r,
    alpha: c.lora_alpha,
    dropout: c.lora_dropout,
    rslora: c.use_rslora,
    targetModules: c.target_modules,
    base: c.base_model_name_or_path ?? null,
  };
}

/**
 * Loads an adapter's states into the backend. Keys that are missing, unexpected or misshapen for this base are one
 * InputError that sums them up: an adapter never silently does nothing.
 */
export async function loadAdapter(folder: string, config: Qwen2VLConfig, backend: Backend): Promise<LoraSpec> {
  const settings = await readAdapterConfig(folder);
  const spec = loraSpec(config, settings);
  const path = join(folder, ADAPTER_WEIGHTS);
  const file = await SafetensorsFile.open(path);
  try {
    const wanted = loraParameters(config, spec);
    const fit = fitTensors(wanted, file.header.keys(), (key) => file.header.get(key)?.shape ?? [], {
      names: (key) => (key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key),
    });
    const faults = misfit(fit);
    if (faults !== null)
      throw new InputError(
        `${path}: the adapter does not fit this base model, which wants ${wanted.length} tensors of it:${faults}\n` +
          `Most likely ${likelyMistake(fit)}. Use it with the base it was trained on${settings.base === null ? '' : `, ${settings.base}`} (--model).`,
      );
    for (const { name, shape } of wanted)
      backend.setState(name, { dtype: 'f32', shape }, await file.read(fit.keys.get(name)!));
  } finally {
    await file.close();
  }
  return spec;
}

/** Adds s·B·A, summed in float32, to every weight that the adapter targets, and drops the adapter's states. */
export async function mergeLora(config: Qwen2VLConfig, spec: LoraSpec, backend: Backend): Promise<void> {
  for (const { name, out, in: width } of linearModules(config)) {
    if (!spec.modules.has(name)) continue;
    const graph = new Graph(backend.decomposed);
    const weight = graph.state(`${name}.weight`, [out, width], backend.typeOf(`${name}.weight`).dtype);
    const a = graph.state(loraA(name), [spec.r, width], 'f32');
    const b = graph.state(loraB(name), [out, spec.r], 'f32');
    const delta = mul(matmul(b, a), graph.scalar(loraScale(spec)));
    graph.assign(weight, cast(add(cast(weight, 'f32'), delta), weight.dtype));
    const program = await backend.compile(graph);
    await program.run({});
    await program.dispose();
    backend.deleteState(loraA(name));
    backend.deleteState(loraB(name));
  }
}
