// Loss, logits and LoRA gradients of a step on the card, and how far they are from transformers' in float32.
import { join } from 'node:path';
import type { Backend } from '../../src/backends/contract.ts';
import { toFloat32 } from '../../src/formats/half.ts';
import { SafetensorsFile } from '../../src/formats/safetensors.ts';
import { Graph } from '../../src/graph/graph.ts';
import type { Precision } from '../../src/graph/types.ts';
import { loadAdapter, loraParameters } from '../../src/models/qwen2_vl/adapter.ts';
import { type EncodedSample, packedInputs } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { pack } from '../../src/models/qwen2_vl/packing.ts';
import { hubName } from '../../src/models/qwen2_vl/parameters.ts';
import { packedLogits } from '../../src/models/qwen2_vl/programs.ts';
import { Scope } from '../../src/nn/scope.ts';
import { sizeOfSample } from '../../src/train/dataset.ts';
import { gradState, momentState } from '../../src/train/step.ts';
import { Trainer, type TrainerOptions, tracePrograms } from '../../src/train/trainer.ts';
import { groupBucket } from './training.ts';

/** Relative errors against float32: ‖x − truth‖ / ‖truth‖. */
export interface Errors {
  readonly loss: number;
  readonly logits: number;
  /** share of the label tokens at which the likeliest token is the truth's */
  readonly sameToken: number;
  /** by adapter tensor */
  readonly gradients: ReadonlyMap<string, number>;
}

function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} values, the truth has ${want.length}`);
  let [difference, scale] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    difference += (got[i]! - want[i]!) ** 2;
    scale += want[i]! ** 2;
  }
  return Math.sqrt(difference / scale);
}

function indexOfMost(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** The base's weights are in the backend in `precision`; the adapter is loaded here, and stays. */
export async function gradientErrors(
  backend: Backend,
  config: Qwen2VLConfig,
  folder: string,
  samples: readonly EncodedSample[],
  precision: Precision,
): Promise<Errors> {
  const truth = await SafetensorsFile.open(join(folder, 'truth.safetensors'));
  const lora = await loadAdapter(join(folder, 'adapter'), config, backend);
  const trained = loraParameters(config, lora).map(({ name }) => name);
  const group = Array.from(samples.keys());
  const sizes = samples.map(sizeOfSample);
  const bucket = groupBucket([group], sizes);
  const options: TrainerOptions = {
    ...{ bucket, lora, trained, dropout: 0, seed: 1, precision, keepFeatures: null, recompute: false },
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    // Gradients are states of their own where they accumulate, and a rate of zero leaves the weights as they are.
    accumulate: 2,
  };
  const trainer = await Trainer.create(backend, config, options, tracePrograms(backend, config, options));
  const packed = pack(group, sizes, bucket);
  const { loss } = await trainer.step(samples, packed, 1, 0, 0);
  await trainer.dispose();
  const keys = new Map(
    [...truth.header.keys()].map((key) => [hubName(key.replace('grad.base_model.model.', '')), key]),
  );
  const gradients = new Map<string, number>();
  for (const name of trained) {
    const key = keys.get(name);
    if (key === undefined) throw new Error(`truth.safetensors has no gradient of ${name}`);
    const got = backend.getState(gradState(name)).data as Float32Array;
    gradients.set(name, relativeError(got, await truth.read(key)));
    for (const state of [gradState(name), momentState(name, 'm'), momentState(name, 'v')]) backend.deleteState(state);
  }

  const graph = new Graph(backend.decomposed);
  packedLogits(new Scope(graph, { precision, lora }), config, bucket);
  const program = await backend.compile(graph);
  const inOrder = packed[0]!.slice().sort((a, b) => a.sample - b.sample);
  const placed = inOrder.map((placement) => ({ ...placement, sample: samples[placement.sample]! }));
  const got = (await program.run(packedInputs(config, bucket, placed, 0))).logits!;
  await program.dispose();
  // The truth has the rows that predict a label token, sample after sample.
  const vocabulary = config.text.vocabSize;
  const want = await truth.read('logits');
  const rows = placed.flatMap(({ sample: { ids, labelStart }, start }) =>
    Array.from({ length: ids.length - labelStart }, (_, i) => start + labelStart + i - 1),
  );
  if (want.length !== rows.length * vocabulary)
    throw new Error(
      `truth.safetensors is of other samples: ${want.length / vocabulary} label tokens, here ${rows.length}`,
    );
  const own = new Float32Array(want.length);
  let same = 0;
  rows.forEach((row, i) => {
    const part = got.subarray(row * vocabulary, (row + 1) * vocabulary) as Float32Array | Uint16Array;
    own.set(toFloat32(precision as 'f32' | 'bf16', part), i * vocabulary);
    const range = [i * vocabulary, (i + 1) * vocabulary] as const;
    if (indexOfMost(own.subarray(...range)) === indexOfMost(want.subarray(...range))) same++;
  });
  const expected = (await truth.read('loss'))[0]!;
  await truth.close();
  return {
    loss: Math.abs(loss - expected) / expected,
    logits: relativeError(own, want),
    sameToken: same / rows.length,
    gradients,
  };
}
