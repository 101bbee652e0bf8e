// What decoding fuses: products of few rows with what comes before and behind them, and a whole step of the model. The
// same program whose inner values are outputs too cannot be fused, and is what the fused one is held against.
import { afterAll, describe, expect, test } from 'vitest';
import type { Backend, Tensors } from '../../src/backends/contract.ts';
import { planProgram } from '../../src/backends/cuda/plan.ts';
import { fromHost, toHost } from '../../src/backends/reference/host.ts';
import { Graph, type Value } from '../../src/graph/graph.ts';
import { sizeOf, type TensorType } from '../../src/graph/types.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { parameters } from '../../src/models/qwen2_vl/parameters.ts';
import { DECODING, decode } from '../../src/models/qwen2_vl/programs.ts';
import { cacheName } from '../../src/models/qwen2_vl/text.ts';
import { GREEDY, kindOf } from '../../src/nn/choice.ts';
import { Scope } from '../../src/nn/scope.ts';
import { add } from '../../src/ops/add.ts';
import { matmul } from '../../src/ops/matmul.ts';
import { rmsNorm } from '../../src/ops/rms_norm.ts';
import { swiglu } from '../../src/ops/swiglu.ts';
import { Random } from '../../src/shared/random.ts';
import { relativeError } from '../conformance/samples.ts';
import { openCuda } from './backend.ts';

const cuda = await openCuda();
const backend = cuda.backend as Backend;

const normal = (type: TensorType, scale: number, seed: number) => {
  const random = Random.from(seed);
  return toHost(
    type,
    Float64Array.from({ length: sizeOf(type.shape) }, () => scale * random.normal()),
  );
};

/** A decoding layer's products: three of one norm with biases, and a gated pair of a norm between two residual sums. */
function layer(graph: Graph, rows: number, hidden: number, wide: number): Record<string, Value> {
  const weight = (name: string, ...shape: number[]) => graph.state(name, shape, 'bf16');
  const x = graph.input('x', [rows, hidden], 'bf16');
  const h = rmsNorm(x, weight('norm1', hidden), 1e-6);
  const linear = (y: Value, name: string, out: number) =>
    matmul(y, weight(name, out, y.shape[1] as number), { transB: true });
  const [q, k, v] = [hidden, 24, 20].map((out, n) => add(linear(h, `qkv${n}`, out), weight(`bias${n}`, out)));
  const y = add(x, linear(q!, 'o', hidden));
  const h2 = rmsNorm(y, weight('norm2', hidden), 1e-6);
  const [gate, up] = [linear(h2, 'gate', wide), linear(h2, 'up', wide)];
  const out = add(y, linear(swiglu(gate, up), 'down', hidden));
  return { q: q!, k: k!, v: v!, y, out, h, h2, gate, up };
}

describe.skipIf(!cuda.backend)(`what decoding fuses, on ${cuda.title}`, () => {
  const compiled: { dispose(): Promise<void> }[] = [];
  afterAll(() => Promise.all(compiled.map((program) => program.dispose())));

  async function run(graph: Graph, inputs: Tensors): Promise<Record<string, ArrayLike<number>>> {
    const program = await backend.compile(graph);
    compiled.push(program);
    const results = await program.run(inputs);
    return Object.fromEntries(
      [...graph.outputs].map(([name, { type }]) => [name, fromHost(type, results[name]!) as ArrayLike<number>]),
    );
  }

  describe.each([
    [1, 64, 104],
    [3, 72, 40],
    [16, 256, 48],
    [17, 64, 40],
    [64, 528, 24], // more of x than shared memory takes
    [16, 800, 1072], // blocks of many warps
  ])('a layer of %i rows, %i wide, %i within', (rows, hidden, wide) => {
    test('gives what its parts give, each rounded by itself', async () => {
      const graphs = [new Graph(), new Graph()];
      const [fused, parts] = graphs.map((graph) => layer(graph, rows, hidden, wide));
      for (const name of ['q', 'k', 'v', 'out']) graphs[0]!.output(name, fused![name]!);
      for (const [name, value] of Object.entries(parts!)) graphs[1]!.output(name, value);
      let seed = 0;
      for (const [name, { type }] of graphs[0]!.states) {
        const scale = name.startsWith('norm') ? 1 : (type.shape[1] ?? 1) ** -0.5;
        backend.setState(name, type, normal(type, scale, ++seed));
      }
      const inputs = { x: normal({ dtype: 'bf16', shape: [rows, hidden] }, 3, 99) };
      const steps = graphs.map((graph) => planProgram(graph).steps.length);
      // Norm and SwiGLU are part of the products, or SwiGLU alone where x is too much for that.
      expect(steps).toEqual([rows * hidden * 2 > 64 << 10 ? 6 : 4, 7]);
      const [together, apart] = [await run(graphs[0]!, inputs), await run(graphs[1]!, inputs)];
      // Every value is rounded to 8 bits (2^-8 of itself at most); the norm's is so twice apart and once together. Sums
      // of many average that out, and `out` is the end of four.
      for (const name of ['q', 'k', 'v', 'out'])
        expect(relativeError(together[name]!, apart[name]!), name).toBeLessThan(1.5e-2);
    });
  });

  const config: Qwen2VLConfig = {
    text: {
      ...{ vocabSize: 330, hiddenSize: 64, intermediateSize: 88, layers: 2, heads: 4, kvHeads: 2, headDim: 16 },
      ...{ rmsNormEps: 1e-6, ropeTheta: 1e4, mropeSection: [2, 3, 3] },
    },
    vision: {
      ...{ depth: 1, embedDim: 16, heads: 1, hiddenSize: 64, mlpRatio: 2, patchSize: 2, mergeSize: 2 },
      ...{ temporalPatchSize: 2, inChannels: 3 },
    },
    ...{ tieWordEmbeddings: true, imageTokenId: 1, videoTokenId: 2, visionStartTokenId: 3, visionEndTokenId: 4 },
    ...{ eosTokenIds: [5], repetitionPenalty: 1 },
  };

  /** A decoding program; apart, with all that fusion would do away with among its outputs. */
  function step(batch: number, apart: boolean): Graph {
    const graph = decode(
      new Scope(new Graph(), { precision: 'bf16' }),
      config,
      { batch, length: 12 },
      kindOf([GREEDY]),
    );
    const inner = graph.nodes.filter(({ op }) => apart && ['rms_norm', 'rope', 'swiglu', 'matmul'].includes(op.name));
    inner.forEach(({ outputs: [value] }, n) => {
      graph.output(`inner${n}`, value!);
    });
    return graph;
  }

  function begin(batch: number, lengths: (b: number) => number): void {
    parameters(config).forEach(({ name, shape }, n) => {
      const type = { dtype: 'bf16', shape } as const;
      const isNorm = shape.length === 1 && name.endsWith('.weight');
      // Biases weigh little; the embedding, which is the head too, is of size one.
      const scale = shape.length === 1 ? 0.1 : name.includes('embed') ? 1 : (shape.at(-1)! as number) ** -0.5;
      const data = isNorm ? toHost(type, new Float64Array(sizeOf(shape)).fill(1)) : normal(type, scale, n + 1);
      backend.setState(name, type, data);
    });
    for (let l = 0; l < config.text.layers; l++)
      for (const part of ['k', 'v'] as const) {
        const type = { dtype: 'bf16', shape: [batch, 2, 12, 16] } as const;
        backend.setState(cacheName(l, part), type, normal(type, 1, 50 + l));
      }
    const ints = (of: (b: number) => number) => Int32Array.from({ length: batch }, (_, b) => of(b));
    const type = { dtype: 'i32', shape: [batch] } as const;
    backend.setState(
      DECODING.ids,
      type,
      ints((b) => (b * 37) % 330),
    );
    backend.setState(DECODING.lengths, type, ints(lengths));
    backend.setState(
      DECODING.ropeDelta,
      type,
      ints((b) => -(b % 2)),
    );
  }

  test.each([1, 3, 16, 20])('steps of %i sequences: the tokens and caches of the parts, one by one', async (batch) => {
    const lengths = (b: number) => (b * 5 + 3) % 11;
    const results = [];
    for (const apart of [false, true]) {
      const graph = step(batch, apart);
      begin(batch, lengths);
      const program = await backend.compile(graph);
      const steps: Tensors[] = [];
      for (let n = 0; n < 3; n++) steps.push(await program.run({}));
      await program.dispose();
      const caches = Array.from({ length: config.text.layers }, (_, l) =>
        (['k', 'v'] as const).map((part) => {
          const { type, data } = backend.getState(cacheName(l, part));
          return fromHost(type, data);
        }),
      ).flat();
      results.push({ tokens: steps.map(({ token }) => token), steps, caches, plan: planProgram(graph).steps.length });
    }
    const [fused, parts] = results as [(typeof results)[0], (typeof results)[0]];
    expect(fused.tokens).toEqual(parts.tokens);
    expect(fused.plan).toBeLessThan(parts.plan - 4 * config.text.layers);
    fused.steps.forEach(({ probability }, n) => {
      expect(relativeError(probability!, parts.steps[n]!.probability!)).toBeLessThan(0.1);
    });
    // The rows written come from values rounded at other places, at most two layers deep.
    fused.caches.forEach((cache, n) => {
      expect(relativeError(cache, parts.caches[n]!)).toBeLessThan(2e-2);
    });
    expect(fused.caches.every((cache) => cache.every(Number.isFinite))).toBe(true);
  });

  test('a sequence that has filled its cache leaves it as it is', async () => {
    begin(2, (b) => (b === 0 ? 12 : 4));
    const before = backend.getState(cacheName(1, 'k')).data.slice();
    const program = await backend.compile(step(2, false));
    await program.run({});
    const after = backend.getState(cacheName(1, 'k')).data;
    const perSequence = after.length / 2;
    expect(after.subarray(0, perSequence)).toEqual(before.subarray(0, perSequence));
    expect(after.subarray(perSequence)).not.toEqual(before.subarray(perSequence));
    expect(backend.getState(DECODING.lengths).data).toEqual(Int32Array.of(12, 5));
    await program.dispose();
  });
});
