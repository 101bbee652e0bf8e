// Qwen2-VL against transformers and peft: forward, packed batches, LoRA gradients, optimiser steps, generation, adapters.
// The expected values are made by reference/model.py; meta.json records the versions.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { grad } from '../../src/autodiff/grad.ts';
import type { Backend, Tensors } from '../../src/backends/contract.ts';
import { createOnnxBackend } from '../../src/backends/onnx/index.ts';
import { SafetensorsFile } from '../../src/formats/safetensors.ts';
import { GENERATE_DEFAULTS, Generator } from '../../src/generate/generator.ts';
import { Graph } from '../../src/graph/graph.ts';
import { loadAdapter, matchModules, mergeLora, saveAdapter } from '../../src/models/qwen2_vl/adapter.ts';
import { type EncodedSample, type PlacedSample, packedInputs } from '../../src/models/qwen2_vl/batch.ts';
import { type Qwen2VLConfig, readConfig } from '../../src/models/qwen2_vl/config.ts';
import { loadWeights } from '../../src/models/qwen2_vl/load.ts';
import { hubName, parameters } from '../../src/models/qwen2_vl/parameters.ts';
import { type Grid, mropePositions } from '../../src/models/qwen2_vl/positions.ts';
import { type Bucket, packedLogits, packedLoss } from '../../src/models/qwen2_vl/programs.ts';
import { type LoraSpec, loraA, loraB, Scope } from '../../src/nn/scope.ts';
import { momentState, traceStep } from '../../src/train/step.ts';

const ROOT = fileURLToPath(new URL('./model/', import.meta.url));
const BUCKET: Bucket = { tokens: 64, row: 32, patches: 96, patchRow: 48, labels: 16 };
const LORA = { r: 8, alpha: 16, rslora: false };

interface Meta {
  samples: { ids: number[]; grids: Grid[]; labelStart: number }[];
}

/** Largest difference, relative to the largest expected value. */
function error(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  let difference = 0;
  let scale = 1e-12;
  for (let i = 0; i < want.length; i++) {
    difference = Math.max(difference, Math.abs((got[i] as number) - (want[i] as number)));
    scale = Math.max(scale, Math.abs(want[i] as number));
  }
  return difference / scale;
}

describe.each(['tiny', 'real_dims'])('%s', (name) => {
  const folder = join(ROOT, name);
  const wanted = new Map<string, Float32Array>();
  let config: Qwen2VLConfig;
  let backend: Backend;
  let samples: EncodedSample[];

  beforeAll(async () => {
    const file = await SafetensorsFile.open(join(folder, 'expected.safetensors'));
    for (const key of file.header.keys()) wanted.set(key, await file.read(key));
    await file.close();
    const meta = JSON.parse(await readFile(join(ROOT, 'meta.json'), 'utf8')) as Meta;
    samples = meta.samples.map(({ ids, grids, labelStart }, i) => ({
      name: `sample ${i}`,
      ids: Int32Array.from(ids),
      labelStart,
      images: grids.map((grid) => ({
        grid,
        width: grid[2] * 14,
        height: grid[1] * 14,
        rgb: new Uint8Array(grid[1] * grid[2] * 588),
      })),
    }));
    config = await readConfig(folder);
    backend = await createOnnxBackend({ threads: 1 });
    await loadWeights(folder, config, backend);
  });

  const expected = (key: string): Float32Array => {
    const found = wanted.get(key);
    if (!found) throw new Error(`no expected value '${key}'`);
    return found;
  };
  const trace = (lora: LoraSpec | null = null): Scope => new Scope(new Graph(backend.decomposed), { lora });

  /** The batch with the fixture's random pixels in place of the images'. */
  function inputs(placed: PlacedSample[], weight: number, bucket = BUCKET): Tensors {
    const batch = packedInputs(config, bucket, placed, weight);
    for (const { sample, patchStarts } of placed) {
      const pixels = expected(`pixels.${samples.indexOf(sample)}`);
      let from = 0;
      sample.images.forEach(({ grid: [t, h, w] }, i) => {
        const size = t * h * w * 1176;
        (batch.patches as Float32Array).set(pixels.subarray(from, from + size), (patchStarts[i] as number) * 1176);
        from += size;
      });
    }
    return batch;
  }
  /** Both samples in one packing row, their images in one vision row. */
  const together = (): PlacedSample[] => [
    { sample: samples[0]!, start: 0, segment: 1, patchStarts: [0] },
    { sample: samples[1]!, start: samples[0]!.ids.length, segment: 2, patchStarts: [24, 32] },
  ];
  const labels = () => samples.reduce((sum, s) => sum + s.ids.length - s.labelStart, 0);

  async function logits(lora: LoraSpec | null): Promise<Float32Array> {
    const scope = trace(lora);
    packedLogits(scope, config, BUCKET);
    const program = await backend.compile(scope.graph);
    const out = (await program.run(inputs(together(), 0))).logits as Float32Array;
    await program.dispose();
    return out;
  }
  function checkLogits(all: Float32Array, prefix: string): void {
    const vocabulary = config.text.vocabSize;
    let start = 0;
    samples.forEach((sample, i) => {
      const own = all.subarray(start * vocabulary, (start + sample.ids.length) * vocabulary);
      // float32 rounding through a few layers in another order of summation
      expect(error(own, expected(`${prefix}.${i}`))).toBeLessThan(1e-4);
      start += sample.ids.length;
    });
  }

  it('positions', () => {
    samples.forEach((sample, i) => {
      const { positions } = mropePositions(
        sample.ids,
        sample.images.map((image) => image.grid),
        config,
      );
      expect(Array.from(positions)).toEqual(Array.from(expected(`positions.${i}`)));
    });
  });

  it('logits of a packed batch equal those of its samples alone', async () => {
    checkLogits(await logits(null), 'logits');
  });

  it('LoRA: logits, loss and every gradient', async () => {
    const spec = await loadAdapter(join(folder, 'adapter'), config, backend);
    checkLogits(await logits(spec), 'lora_logits');
    checkLogits(await logits({ ...spec, rslora: true }), 'rslora_logits');
    const scope = trace(spec);
    const loss = packedLoss(scope, config, BUCKET, false);
    const states = [...spec.modules].flatMap((m) => [loraA(m), loraB(m)]).map((n) => scope.graph.states.get(n)!);
    grad(loss, states).forEach((g, i) => {
      scope.graph.output((states[i]!.origin as { name: string }).name, g);
    });
    const program = await backend.compile(scope.graph);
    const grads = await program.run(inputs(together(), 1 / labels()));
    const keys = [...wanted.keys()].filter((key) => key.startsWith('grad.'));
    expect(keys.length).toBe(states.length);
    for (const key of keys) {
      const module = hubName(key.slice('grad.base_model.model.'.length)).replace('.default.', '.');
      expect(error(grads[module] as Float32Array, expected(key)), key).toBeLessThan(1e-4);
    }
  });

  it('loss, and twenty clipped AdamW steps of LoRA', async () => {
    const spec = await loadAdapter(join(folder, 'adapter'), config, backend);
    const names = [...spec.modules].flatMap((m) => [loraA(m), loraB(m)]);
    const curve = await train(spec, names, 20, 0.01);
    expect(Math.abs(curve[0]![0]! / expected('lora_curve')[0]! - 1)).toBeLessThan(1e-5);
    curve.flat().forEach((value, i) => {
      expect(Math.abs(value / expected('lora_curve')[i]! - 1), `value ${i}`).toBeLessThan(1e-4);
    });
  });

  it('five steps of full fine-tuning', async () => {
    const curve = await train(
      null,
      parameters(config).map((p) => p.name),
      5,
      0,
    );
    expect(Math.abs(curve[0]![0]! / expected('loss')[0]! - 1)).toBeLessThan(1e-5);
    // The first AdamW steps are lr · sign(g): a gradient near zero whose sign rounding decides moves its weight by 2·lr.
    curve.forEach(([loss], i) => {
      expect(Math.abs(loss! / expected('full_curve')[2 * i]! - 1), `step ${i}`).toBeLessThan(1e-3);
    });
    await loadWeights(folder, config, backend);
  });

  async function train(
    spec: LoraSpec | null,
    names: string[],
    steps: number,
    weightDecay: number,
  ): Promise<number[][]> {
    const scope = trace(spec);
    const loss = packedLoss(scope, config, BUCKET, spec === null);
    traceStep(scope.graph, loss, names, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay, maxGradNorm: 1 });
    for (const state of names) {
      const { type } = backend.getState(state);
      for (const part of ['m', 'v'] as const)
        backend.setState(momentState(state, part), type, new Float32Array(backend.getState(state).data.length));
    }
    const program = await backend.compile(scope.graph);
    const curve: number[][] = [];
    for (let k = 0; k < steps; k++) {
      const out = await program.run({
        ...inputs(together(), 1 / labels()),
        lr: Float32Array.of((1e-3 * (steps - k)) / steps),
        c1: Float32Array.of(1 - 0.9 ** (k + 1)),
        c2: Float32Array.of(1 - 0.999 ** (k + 1)),
      });
      curve.push([out.loss![0]!, out.grad_norm![0]!]);
    }
    await program.dispose();
    return curve;
  }

  it('an adapter saved here has peft’s keys and values, and merging changes no logits', async () => {
    const spec = await loadAdapter(join(folder, 'adapter'), config, backend);
    const saved = await mkdtemp(join(tmpdir(), 'texlens-adapter-'));
    const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
    await saveAdapter(saved, config, { ...LORA, dropout: 0, targetModules: targets }, backend, 'base');
    const [ours, theirs] = await Promise.all(
      [saved, join(folder, 'adapter')].map((f) => SafetensorsFile.open(join(f, 'adapter_model.safetensors'))),
    );
    expect([...ours!.header.keys()].sort()).toEqual([...theirs!.header.keys()].sort());
    for (const key of ours!.header.keys()) expect(await ours!.read(key)).toEqual(await theirs!.read(key));
    await Promise.all([ours!.close(), theirs!.close()]);
    await rm(saved, { recursive: true });
    mergeLora(config, spec, backend);
    checkLogits(await logits(null), 'lora_logits');
    await loadWeights(folder, config, backend);
  });

  it('target modules that match nothing are refused', () => {
    expect(() => matchModules(config, ['q_proj', 'query'])).toThrow(/query/);
  });

  it('greedy generation, two prompts of different lengths in one batch', async () => {
    const generator = new Generator(new PixelBackend(backend, inputs), config);
    const prompts = samples.map((s) => ({ ...s, ids: s.ids.slice(0, s.labelStart), labelStart: s.labelStart }));
    PixelBackend.prompts = prompts.map((p, i) => ({ prompt: p, sample: samples[i]! }));
    const options = { ...GENERATE_DEFAULTS, maxNewTokens: 16, stopIds: [], stopOnRepetition: false };
    const streamed: number[][] = [[], []];
    const results = await generator.generate(prompts, options, (i, token) => streamed[i]!.push(token));
    results.forEach((result, i) => {
      expect(result.ids).toEqual(Array.from(expected(`greedy.${i}`)));
      expect(streamed[i]).toEqual(result.ids);
      expect(result.confidence).toBeGreaterThan(0);
    });
    await generator.dispose();
  });

  /** Feeds the fixture's pixels to prefill, whose batch has a layout of its own. */
  class PixelBackend implements Backend {
    static prompts: { prompt: EncodedSample; sample: EncodedSample }[] = [];
    readonly name = 'onnx';
    readonly decomposed: ReadonlySet<string>;
    constructor(
      private readonly inner: Backend,
      readonly make: typeof inputs,
    ) {
      this.decomposed = inner.decomposed;
    }
    setState: Backend['setState'] = (...args) => this.inner.setState(...args);
    getState: Backend['getState'] = (name) => this.inner.getState(name);
    hasState: Backend['hasState'] = (name) => this.inner.hasState(name);
    deleteState: Backend['deleteState'] = (name) => this.inner.deleteState(name);
    compile: Backend['compile'] = async (graph) => {
      const program = await this.inner.compile(graph);
      const patches = graph.inputs.get('patches');
      if (!patches) return program;
      return {
        dispose: () => program.dispose(),
        run: (batch) => {
          const pixels = new Float32Array(patches.shape[0]! * 1176);
          // Generator places image i at the start of vision row i.
          const images = PixelBackend.prompts.flatMap(({ sample }) =>
            sample.images.map((image, i) => ({ sample, grid: image.grid, before: sample.images.slice(0, i) })),
          );
          const rowPatches = 64;
          images.forEach(({ sample, grid: [t, h, w], before }, i) => {
            const skip = before.reduce((sum, { grid }) => sum + grid[0] * grid[1] * grid[2], 0);
            const all = expected(`pixels.${samples.indexOf(sample)}`);
            pixels.set(all.subarray(skip * 1176, (skip + t * h * w) * 1176), i * rowPatches * 1176);
          });
          return program.run({ ...batch, patches: pixels });
        },
      };
    };
  }
});
