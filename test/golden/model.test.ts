// Qwen2-VL against transformers and peft: every layer's output, logits of packed batches, LoRA gradients, optimiser
// steps, generation, adapters. The expected values are made by reference/model.py; meta.json records the versions.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { grad } from '../../src/autodiff/grad.ts';
import type { Backend } from '../../src/backends/contract.ts';
import { SafetensorsFile } from '../../src/formats/safetensors.ts';
import { GENERATE_DEFAULTS, Generator } from '../../src/generate/generator.ts';
import { type Attrs, Graph, type OpDef, type Value } from '../../src/graph/graph.ts';
import { loadAdapter, matchModules, mergeLora, saveAdapter } from '../../src/models/qwen2_vl/adapter.ts';
import type { PlacedSample } from '../../src/models/qwen2_vl/batch.ts';
import { loadWeights } from '../../src/models/qwen2_vl/load.ts';
import { hubName, parameters } from '../../src/models/qwen2_vl/parameters.ts';
import { mropePositions } from '../../src/models/qwen2_vl/positions.ts';
import { packedLogits, packedLoss } from '../../src/models/qwen2_vl/programs.ts';
import { type LoraSpec, loraA, loraB, Scope } from '../../src/nn/scope.ts';
import { momentState, traceStep } from '../../src/train/step.ts';
import { openCuda } from '../cuda/backend.ts';
import { BUCKET, Fixture, relativeError } from './fixture.ts';

const TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
// float32 rounding through a few layers in another order of summation
const FLOAT32 = 1e-4;

/**
 * Watches a trace: names the first input and the first output of every call by the weight beside them, so that what
 * flows between the layers can be asked for without a word of it in the model's code.
 */
class WatchedGraph extends Graph {
  readonly into = new Map<string, Value>();
  readonly outOf = new Map<string, Value>();
  override apply<A extends Attrs>(op: OpDef<A>, inputs: readonly Value[], attrs: A): readonly Value[] {
    const outputs = super.apply(op, inputs, attrs);
    for (const { origin } of inputs)
      if (origin.kind === 'state') {
        this.into.set(origin.name, inputs[0] as Value);
        this.outOf.set(origin.name, outputs[0] as Value);
      }
    return outputs;
  }
}

const cuda = await openCuda();
const BACKENDS: Record<string, () => Promise<Backend>> = {
  onnx: async () => (await import('../../src/backends/onnx/index.ts')).createOnnxBackend({ threads: 1 }),
  cuda: async () => cuda.backend!,
};
// The emulator is too slow for the larger configuration, and for what takes many steps.
const CASES = [
  ['tiny', 'onnx'],
  ['real_dims', 'onnx'],
  ...(cuda.backend ? [['tiny', 'cuda']] : []),
  ...(cuda.backend && !cuda.emulated ? [['real_dims', 'cuda']] : []),
] as [string, string][];

describe.each(CASES)('%s on %s', (name, on) => {
  const long = it.skipIf(on === 'cuda' && cuda.emulated);
  let fixture: Fixture;
  let backend: Backend;

  beforeAll(async () => {
    fixture = await Fixture.open(name);
    backend = await BACKENDS[on]!();
    await loadWeights(fixture.folder, fixture.config, backend);
  });

  const trace = (lora: LoraSpec | null = null): Scope => new Scope(new Graph(backend.decomposed), { lora });
  const labelsOf = (placed: readonly PlacedSample[]) =>
    placed.reduce((sum, { sample }) => sum + sample.ids.length - sample.labelStart, 0);
  const adapter = (folder = 'adapter') => loadAdapter(join(fixture.folder, folder), fixture.config, backend);

  async function logits(lora: LoraSpec | null): Promise<Float32Array> {
    const scope = trace(lora);
    packedLogits(scope, fixture.config, BUCKET);
    const program = await backend.compile(scope.graph);
    const out = (await program.run(fixture.inputs(fixture.all, 0))).logits as Float32Array;
    await program.dispose();
    return out;
  }
  function checkLogits(all: Float32Array, prefix: string): void {
    const vocabulary = fixture.config.text.vocabSize;
    fixture.all.forEach(({ sample, start }, i) => {
      const own = all.subarray(start * vocabulary, (start + sample.ids.length) * vocabulary);
      expect(relativeError(own, fixture.expected(`${prefix}.${i}`)), `${prefix}.${i}`).toBeLessThan(FLOAT32);
    });
  }

  it('positions', () => {
    fixture.samples.forEach(({ ids, images }, i) => {
      const grids = images.map((image) => image.grid);
      const { positions, ropeDelta } = mropePositions(ids, grids, fixture.config);
      expect(Array.from(positions)).toEqual(Array.from(fixture.expected(`positions.${i}`)));
      expect(ropeDelta).toBe(fixture.ropeDeltas[i]);
    });
  });

  it('the output of the patch product, of every block and layer, of the merger and of the last norm', async () => {
    const { config } = fixture;
    const graph = new WatchedGraph(backend.decomposed);
    packedLogits(new Scope(graph), config, BUCKET);
    const depth = config.vision.depth;
    const block = (l: number) => (l < depth ? `visual.blocks.${l}.norm1.weight` : 'visual.merger.ln_q.weight');
    const layer = (l: number) =>
      l < config.text.layers ? `model.layers.${l}.input_layernorm.weight` : 'model.norm.weight';
    const places: [string, Value | undefined][] = [
      ['patch_embed', graph.into.get(block(0))],
      ...Array.from(
        { length: depth },
        (_, l) => [`vision_block.${l}`, graph.into.get(block(l + 1))] as [string, Value],
      ),
      ['vision', graph.outOf.get('visual.merger.mlp.2.bias')],
      ...Array.from(
        { length: config.text.layers },
        (_, l) => [`hidden.${l}`, graph.into.get(layer(l + 1))] as [string, Value],
      ),
      ['norm', graph.outOf.get('model.norm.weight')],
    ];
    graph.outputs.clear();
    for (const [key, value] of places) graph.output(key, value!);
    const program = await backend.compile(graph);
    const out = await program.run(fixture.inputs(fixture.all, 0));
    await program.dispose();
    for (const [key, value] of places) {
      const width = value!.shape[1]!;
      // Rows a token, a patch, or after the merger one for 2 × 2 patches.
      const area = key === 'vision' ? config.vision.mergeSize ** 2 : 1;
      const isText = key === 'norm' || key.startsWith('hidden');
      fixture.all.forEach(({ sample, start, patchStarts }, i) => {
        const first = isText ? start : patchStarts[0]! / area;
        const rows = isText
          ? sample.ids.length
          : sample.images.reduce((sum, { grid: [t, h, w] }) => sum + t * h * w, 0) / area;
        const own = (out[key] as Float32Array).subarray(first * width, (first + rows) * width);
        expect(relativeError(own, fixture.expected(`${key}.${i}`)), `${key}.${i}`).toBeLessThan(FLOAT32);
      });
    }
  });

  it('logits of a packed batch equal those of its samples alone', async () => {
    checkLogits(await logits(null), 'logits');
  });

  it('LoRA: logits, loss and every gradient', async () => {
    checkLogits(await logits(await adapter('adapter_hub_keys')), 'lora_logits');
    const spec = await adapter();
    checkLogits(await logits(spec), 'lora_logits');
    checkLogits(await logits({ ...spec, rslora: true }), 'rslora_logits');
    const scope = trace(spec);
    const loss = packedLoss(scope, fixture.config, BUCKET, false);
    const states = [...spec.modules].flatMap((m) => [loraA(m), loraB(m)]).map((n) => scope.graph.states.get(n)!);
    grad(loss, states).forEach((g, i) => {
      scope.graph.output((states[i]!.origin as { name: string }).name, g);
    });
    const program = await backend.compile(scope.graph);
    const grads = await program.run(fixture.inputs(fixture.step, 1 / labelsOf(fixture.step)));
    await program.dispose();
    const keys = fixture.keys('grad.');
    expect(keys.length).toBe(states.length);
    for (const key of keys) {
      const module = hubName(key.slice('grad.base_model.model.'.length)).replace('.default.', '.');
      expect(relativeError(grads[module] as Float32Array, fixture.expected(key)), key).toBeLessThan(FLOAT32);
    }
  });

  long('loss of every sample alone, plain, with LoRA and with rsLoRA', async () => {
    const spec = await adapter();
    for (const [prefix, lora] of [
      ['loss', null],
      ['lora_loss', spec],
      ['rslora_loss', { ...spec, rslora: true }],
    ] as const) {
      const scope = trace(lora);
      scope.graph.output('loss', packedLoss(scope, fixture.config, BUCKET, false));
      const program = await backend.compile(scope.graph);
      for (const [i, placed] of fixture.all.entries()) {
        const { loss } = await program.run(fixture.inputs([placed], 1 / labelsOf([placed])));
        expect(Math.abs(loss![0]! / fixture.expected(`${prefix}.${i}`)[0]! - 1), `${prefix}.${i}`).toBeLessThan(1e-5);
      }
      await program.dispose();
    }
  });

  long.each([
    ['lora_curve', 0.01],
    ['lora_curve_no_decay', 0],
  ])('loss and gradient norm of twenty clipped AdamW steps of LoRA: %s', async (key, weightDecay) => {
    const spec = await adapter();
    const curve = await train(
      spec,
      [...spec.modules].flatMap((m) => [loraA(m), loraB(m)]),
      20,
      weightDecay,
    );
    const expected = fixture.expected(key);
    expect(Math.abs(curve[0]![0]! / expected[0]! - 1)).toBeLessThan(1e-5);
    curve.flat().forEach((value, i) => {
      expect(Math.abs(value / expected[i]! - 1), `value ${i}`).toBeLessThan(FLOAT32);
    });
  });

  long.each([
    ['full_curve', 0],
    ['full_curve_decay', 0.01],
  ])('five steps of full fine-tuning: %s', async (key, weightDecay) => {
    const names = parameters(fixture.config).map((p) => p.name);
    const curve = await train(null, names, 5, weightDecay);
    expect(Math.abs(curve[0]![0]! / fixture.expected('loss')[0]! - 1)).toBeLessThan(1e-5);
    // The first AdamW steps are lr · sign(g): a gradient near zero whose sign rounding decides moves its weight by 2·lr.
    curve.forEach(([loss], i) => {
      expect(Math.abs(loss! / fixture.expected(key)[2 * i]! - 1), `step ${i}`).toBeLessThan(1e-3);
    });
    await loadWeights(fixture.folder, fixture.config, backend);
  });

  async function train(
    spec: LoraSpec | null,
    names: string[],
    steps: number,
    weightDecay: number,
  ): Promise<number[][]> {
    const scope = trace(spec);
    const loss = packedLoss(scope, fixture.config, BUCKET, spec === null);
    traceStep(scope.graph, loss, names, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay, maxGradNorm: 1 });
    for (const state of names) {
      const { type, data } = backend.getState(state);
      for (const part of ['m', 'v'] as const)
        backend.setState(momentState(state, part), type, new Float32Array(data.length));
    }
    const program = await backend.compile(scope.graph);
    const curve: number[][] = [];
    for (let k = 0; k < steps; k++) {
      const out = await program.run({
        ...fixture.inputs(fixture.step, 1 / labelsOf(fixture.step)),
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
    const spec = await adapter();
    const saved = await mkdtemp(join(tmpdir(), 'texlens-adapter-'));
    const settings = { r: 8, alpha: 16, rslora: false, dropout: 0, targetModules: TARGETS };
    await saveAdapter(saved, fixture.config, settings, backend, 'base');
    const [ours, theirs] = await Promise.all(
      [saved, join(fixture.folder, 'adapter')].map((f) => SafetensorsFile.open(join(f, 'adapter_model.safetensors'))),
    );
    expect([...ours!.header.keys()].sort()).toEqual([...theirs!.header.keys()].sort());
    for (const key of ours!.header.keys()) expect(await ours!.read(key)).toEqual(await theirs!.read(key));
    await Promise.all([ours!.close(), theirs!.close()]);
    await rm(saved, { recursive: true });
    await mergeLora(fixture.config, spec, backend);
    checkLogits(await logits(null), 'lora_logits');
    await loadWeights(fixture.folder, fixture.config, backend);
  });

  it('target modules that match nothing, or are no pattern, are refused', () => {
    expect(() => matchModules(fixture.config, ['q_proj', 'query'])).toThrow(/query/);
    expect(() => matchModules(fixture.config, '.*query')).toThrow(/'.*query' match no linear layer/);
    expect(() => matchModules(fixture.config, '(?P<x>q)_proj')).toThrow(/expected a regular expression/);
  });

  it.each(['greedy', 'lora_greedy'])('%s generation, three prompts of different lengths in one batch', async (key) => {
    const spec = key === 'greedy' ? null : await adapter();
    const prompts = fixture.samples.map((s) => ({ ...s, ids: s.ids.slice(0, s.labelStart) }));
    const generator = new Generator(backend, fixture.config, spec);
    const options = { ...GENERATE_DEFAULTS, maxNewTokens: 16, stopIds: [], stopOnRepetition: false };
    const streamed: number[][] = prompts.map(() => []);
    const results = await generator.generate(prompts, options, (i, token) => streamed[i]!.push(token));
    results.forEach((result, i) => {
      expect(result.ids).toEqual(Array.from(fixture.expected(`${key}.${i}`)));
      expect(streamed[i]).toEqual(result.ids);
      expect(result.confidence).toBeGreaterThan(0);
    });
    // A second batch meets the same programs and must begin anew.
    const again = await generator.generate(prompts, options);
    expect(again).toEqual(results);
    await generator.dispose();
  });

  // The larger configuration takes long to compile, and packs prompts no differently.
  it.skipIf(name !== 'tiny')('a prompt that stands in a batch several times is read as it is alone', async () => {
    const [first, second] = fixture.samples.map((s) => ({ ...s, ids: s.ids.slice(0, s.labelStart) }));
    const generator = new Generator(backend, fixture.config);
    const options = { ...GENERATE_DEFAULTS, maxNewTokens: 16, stopIds: [], stopOnRepetition: false };
    const copies = await generator.generate([first!, second!, first!], options);
    expect(copies.map(({ ids }) => ids)).toEqual([0, 1, 0].map((i) => Array.from(fixture.expected(`greedy.${i}`))));
    await generator.dispose();
  });
});
