// Steps: of programs that are well formed, the same however they are split or recomputed, and what one leaves behind when
// it fails.
import { beforeAll, expect, test } from 'vitest';
import { Fixture } from '../../test/golden/fixture.ts';
import type { Backend } from '../backends/contract.ts';
import { createOnnxBackend } from '../backends/onnx/index.ts';
import { createReferenceBackend } from '../backends/reference/index.ts';
import { Graph } from '../graph/graph.ts';
import { verify } from '../graph/verify.ts';
import { initLora, loraParameters, loraSpec } from '../models/qwen2_vl/adapter.ts';
import { loadWeights } from '../models/qwen2_vl/load.ts';
import { pack } from '../models/qwen2_vl/packing.ts';
import { parameters } from '../models/qwen2_vl/parameters.ts';
import { type Bucket, chooseFirst, decode, prefill } from '../models/qwen2_vl/programs.ts';
import { Scope } from '../nn/scope.ts';
import { sizeOfSample } from './dataset.ts';
import { Trainer, type TrainerOptions, tracePrograms } from './trainer.ts';

/** Samples 0 and 1 of the fixture share a batch, sample 2 has one for itself; or all are in one. */
const SMALL: Bucket = { tokens: 32, row: 32, patches: 48, patchRow: 48, labels: 16 };
const WHOLE: Bucket = { tokens: 64, row: 32, patches: 96, patchRow: 48, labels: 32 };

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open('tiny');
});

function optionsFor(given: Partial<TrainerOptions>): TrainerOptions {
  const settings = { r: 4, alpha: 8, rslora: false, dropout: 0, targetModules: ['q_proj', 'v_proj'] };
  const lora = loraSpec(fixture.config, settings);
  return {
    ...{ bucket: SMALL, accumulate: 2, lora, dropout: 0, seed: 1, precision: 'f32', recompute: false },
    trained: loraParameters(fixture.config, lora).map(({ name }) => name),
    update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    keepFeatures: null,
    ...given,
  };
}

async function open(backend: Backend, given: Partial<TrainerOptions>) {
  const { config, folder, samples } = fixture;
  await loadWeights(folder, config, backend);
  const options = optionsFor(given);
  initLora(config, options.lora!, 1, backend);
  const trainer = await Trainer.create(backend, config, options, tracePrograms(backend, config, options));
  const micro = pack([...samples.keys()], samples.map(sizeOfSample), options.bucket);
  return { trainer, samples, micro };
}

test.each(['whole', 'as the CPU decomposes them'])('every program is well formed: ops %s', async (how) => {
  const backend = createReferenceBackend();
  await loadWeights(fixture.folder, fixture.config, backend);
  initLora(fixture.config, optionsFor({}).lora!, 1, backend);
  const decomposed = how === 'whole' ? new Set<string>() : (await createOnnxBackend()).decomposed;
  const all = parameters(fixture.config).map(({ name }) => name);
  const runs: Partial<TrainerOptions>[] = [
    { dropout: 0.1 },
    { accumulate: 1, keepFeatures: 3 },
    { precision: 'bf16', keepFeatures: 0 },
    { lora: null, trained: all },
  ];
  for (const run of runs)
    for (const recompute of [false, true]) {
      const traced = { decomposed, typeOf: (name: string) => backend.typeOf(name) };
      const programs = tracePrograms(traced, fixture.config, optionsFor({ ...run, recompute }));
      for (const graph of Object.values(programs) as (Graph | null)[]) if (graph) verify(graph);
    }
  const scope = () => new Scope(new Graph(decomposed), { precision: how === 'whole' ? 'bf16' : 'f32' });
  const choice = { sampled: true, filtered: true, penalised: true };
  const cache = { batch: 2, length: 64 };
  verify(prefill(scope(), fixture.config, { ...WHOLE, labels: 0 }, cache, 32));
  verify(chooseFirst(new Graph(decomposed), fixture.config, cache.batch, choice));
  verify(decode(scope(), fixture.config, cache, choice));
});

test('a step in micro-batches of unequal label counts is the step in one batch', async () => {
  const steps = async (given: Partial<TrainerOptions>) => {
    const { trainer, samples, micro } = await open(await createOnnxBackend({ threads: 1 }), given);
    const told: number[] = [];
    for (let n = 1; n <= 3; n++) {
      const { loss, gradNorm } = await trainer.step(samples, micro, n, 0, 1e-2);
      told.push(loss, gradNorm);
    }
    told.push(await trainer.loss(samples, micro));
    await trainer.dispose();
    return { batches: micro.length, told };
  };
  const whole = await steps({ bucket: WHOLE, accumulate: 1 });
  expect(whole.batches).toBe(1);
  for (const other of [{}, { recompute: true }, { keepFeatures: 5 }]) {
    const split = await steps(other);
    expect(split.batches).toBe(2);
    // float32 sums in another order, through three steps
    for (const [i, value] of whole.told.entries()) expect(split.told[i]! / value).toBeCloseTo(1, 4);
  }
});

test('a backend that fails fails the step, with no rejection that nobody waits for', async () => {
  const backend = await createOnnxBackend({ threads: 1 });
  let isLost = false;
  const losing = Object.create(backend, {
    compile: {
      value: async (...given: Parameters<Backend['compile']>) => {
        const program = await backend.compile(...given);
        const run: typeof program.run = (inputs) =>
          isLost ? Promise.reject(new Error('the card is lost')) : program.run(inputs);
        return { run, dispose: () => program.dispose() };
      },
    },
  }) as Backend;
  // A step is runs of the towers, of micro-batches and of the update.
  const { trainer, samples, micro } = await open(losing, { keepFeatures: 0 });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  isLost = true;
  await expect(trainer.step(samples, micro, 1, 0, 1e-3)).rejects.toThrow('the card is lost');
  await expect(trainer.loss(samples, micro)).rejects.toThrow('the card is lost');
  // Node tells of them when the microtasks are done.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
  await trainer.dispose();
});
