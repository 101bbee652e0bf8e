// Sampling inside programs on every backend: what top-k and top-p keep, against a plain sort; how often tokens are drawn,
// against the exact probabilities; the penalty; and whole generations of a tiny model.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Tensors } from '../src/backends/contract.ts';
import { createOnnxBackend } from '../src/backends/onnx/index.ts';
import { createReferenceBackend } from '../src/backends/reference/index.ts';
import { GENERATE_DEFAULTS, type Generation, Generator } from '../src/generate/generator.ts';
import { Graph, type Value } from '../src/graph/graph.ts';
import { loadWeights } from '../src/models/qwen2_vl/load.ts';
import { beginChoices, chooseToken, GREEDY, kindOf, type SamplingOptions } from '../src/nn/choice.ts';
import { sampledChoice } from '../src/ops/sampled_choice.ts';
import { foldKey, Random } from '../src/shared/random.ts';
import { openCuda } from './cuda/backend.ts';
import { Fixture } from './golden/fixture.ts';

const cuda = await openCuda();
const BACKENDS: [string, () => Promise<Backend>][] = [
  ['reference', async () => createReferenceBackend()],
  ['onnx', () => createOnnxBackend({ threads: 1 })],
  ...(cuda.backend ? [[`cuda, ${cuda.title}`, async () => cuda.backend!] as [string, () => Promise<Backend>]] : []),
];
/** The emulator runs every thread of every block. */
const isSlow = (name: string): boolean => name.startsWith('cuda') && cuda.emulated;

type Filters = Pick<SamplingOptions, 'temperature' | 'topK' | 'topP'>;

/** What transformers' warpers leave of a row, by sorting it: probabilities by token, 0 for those filtered out. */
function filtered(row: ArrayLike<number>, { temperature, topK, topP }: Filters): number[] {
  const sorted = Array.from(row).sort((a, b) => b - a);
  const cut = topK > 0 ? sorted[Math.min(topK, sorted.length) - 1]! : sorted.at(-1)!;
  const weigh = (score: number) => Math.exp((score - sorted[0]!) / temperature);
  const left = sorted.filter((score) => score >= cut);
  const all = left.reduce((sum, score) => sum + weigh(score), 0);
  let above = 0;
  const head = left.filter((score, i) => {
    const keeps = i === 0 || above / all < topP;
    above += weigh(score);
    return keeps;
  });
  const least = head.at(-1)!;
  const masses = Array.from(row, (score) => (score >= least ? weigh(score) : 0));
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  return masses.map((mass) => mass / total);
}

const random = Random.from(5);
const row = (vocabulary: number, height: number) =>
  Float32Array.from({ length: vocabulary }, () => height * random.normal());
/** Many scores that are equal, as those of a model in bfloat16 are. */
const coarse = (vocabulary: number) => row(vocabulary, 3).map(Math.round);

const CASES: { name: string; scores: Float32Array; filters: Filters }[] = [
  ['all', row(9, 2), { temperature: 1, topK: 0, topP: 1 }],
  ['all, cold', row(9, 2), { temperature: 0.3, topK: 0, topP: 1 }],
  ['all, hot', row(9, 2), { temperature: 5, topK: 0, topP: 1 }],
  ['top-k', row(9, 1), { temperature: 1, topK: 4, topP: 1 }],
  ['top-k of more than there are', row(9, 1), { temperature: 1, topK: 30, topP: 1 }],
  ['top-k of one', row(9, 1), { temperature: 1, topK: 1, topP: 1 }],
  ['top-p', row(9, 1), { temperature: 1, topK: 0, topP: 0.7 }],
  ['top-p of hot scores', row(9, 2), { temperature: 3, topK: 0, topP: 0.7 }],
  ['both', row(9, 1), { temperature: 1.3, topK: 5, topP: 0.8 }],
  ['equal scores', coarse(12), { temperature: 2, topK: 3, topP: 1 }],
  ['equal scores, top-p', coarse(12), { temperature: 2, topK: 0, topP: 0.6 }],
  ['equal scores, both', coarse(12), { temperature: 2, topK: 5, topP: 0.7 }],
  ['all scores equal', new Float32Array(8).fill(-2.5), { temperature: 1, topK: 2, topP: 0.3 }],
  ['many, top-k', row(9001, 3), { temperature: 1, topK: 50, topP: 1 }],
  ['many, top-p', row(9001, 3), { temperature: 1, topK: 0, topP: 0.9 }],
  ['many, both', row(5000, 3), { temperature: 1.5, topK: 300, topP: 0.9 }],
  ['the vocabulary of Qwen2-VL, both', row(151_936, 3), { temperature: 0.7, topK: 50, topP: 0.9 }],
  ['more chunks than a block has threads', row(1_100_000, 1), { temperature: 0.1, topK: 20, topP: 1 }],
  ['many equal, both', coarse(5000), { temperature: 1, topK: 300, topP: 0.5 }],
].map(([name, scores, filters]) => ({ name, scores, filters }) as (typeof CASES)[number]);

describe.each(BACKENDS)('the kept tokens on %s', (_title, create) => {
  const points = (count: number) => Float32Array.from({ length: count }, (_, i) => (i + 0.5) / count);
  /** So many points that each of few tokens has some; of many tokens some must do. */
  const countOf = ({ length }: Float32Array) => (length > 100_000 ? 2 : length > 12 ? 20 : 250);
  let results: Tensors;

  beforeAll(async () => {
    const backend = await create();
    const graph = new Graph(backend.decomposed);
    const inputs: Tensors = {};
    CASES.forEach(({ scores, filters }, n) => {
      const [count, width] = [countOf(scores), scores.length];
      const given: [string, number[], Float32Array][] = [
        ['scores', [count, width], Float32Array.from({ length: count * width }, (_, i) => scores[i % width]!)],
        ['largest', [count], new Float32Array(count).fill(scores.reduce((a, b) => Math.max(a, b)))],
        ['points', [count], points(count)],
      ];
      const input = (name: string, shape: number[], data: Float32Array | Int32Array) => {
        inputs[`${n}.${name}`] = data;
        return graph.input(`${n}.${name}`, shape, data instanceof Float32Array ? 'f32' : 'i32');
      };
      const values = given.map((one) => input(...one)) as [Value, Value, Value];
      const temperature = input('temperature', [count], new Float32Array(count).fill(filters.temperature));
      const topK = input('topK', [count], new Int32Array(count).fill(filters.topK));
      const topP = input('topP', [count], new Float32Array(count).fill(filters.topP));
      const filtering = filters.topK > 0 || filters.topP < 1;
      graph.output(`${n}`, sampledChoice(...values, temperature, filtering ? { topK, topP } : undefined));
    });
    const program = await backend.compile(graph);
    results = await program.run(inputs);
    // What a run leaves behind must not reach the next.
    expect(await program.run(inputs)).toEqual(results);
    await program.dispose();
  });

  test.each(CASES.map((one, n) => ({ ...one, n })))('$name', ({ scores, filters, n }) => {
    const tokens = results[n]!;
    const probabilities = filtered(scores, filters);
    const drawn = new Set(tokens);
    expect([...drawn].filter((token) => probabilities[token] === 0)).toEqual([]);
    const large = Array.from(probabilities.keys()).filter((token) => probabilities[token]! > 1 / countOf(scores));
    expect(large.filter((token) => !drawn.has(token))).toEqual([]);
    let checked = 0;
    points(countOf(scores)).forEach((point, i) => {
      let passed = 0;
      const expected = probabilities.findIndex((probability) => {
        passed += probability;
        return passed > point;
      });
      // Masses are exact to about 1e-7 of themselves: points so near a token's edge may fall to its neighbour.
      const margin = Math.min(passed - point, point - passed + probabilities[expected]!);
      if (margin < 1e-6) return;
      checked++;
      expect(tokens[i], `point ${point}`).toBe(expected);
    });
    expect(checked).toBeGreaterThanOrEqual(0.9 * countOf(scores));
  });
});

const VOCABULARY = 12;
const LOGITS = Float32Array.of(1.5, 0.2, -0.4, 2.1, 0.9, 2, -1, 0.3, 1.1, -2, 1.8, -0.1);
const WITH_ALL: SamplingOptions = { temperature: 1.4, topK: 8, topP: 0.9, repetitionPenalty: 1.5 };
/** Tokens that a sequence has, one with a positive and one with a negative logit. */
const HAS = [3, 2];

function penalised(logits: Float32Array, penalty: number, seen: readonly number[]): Float32Array {
  return logits.map((logit, i) => (seen.includes(i) ? (logit > 0 ? logit / penalty : logit * penalty) : logit));
}

/** Steps of chooseToken over rows of the same logits, each with the key of its seed. */
async function choose(backend: Backend, options: SamplingOptions, batch: number, steps: number): Promise<Tensors[]> {
  const graph = new Graph(backend.decomposed);
  const kind = kindOf([options]);
  const { token, probability } = chooseToken(graph.input('logits', [batch, VOCABULARY], 'f32'), kind, null);
  graph.output('token', token);
  graph.output('probability', probability);
  const size = batch * VOCABULARY;
  const rows = Array.from({ length: batch }, (_, seed) => ({ ...options, key: foldKey(seed, 0), seen: HAS }));
  beginChoices(backend, kind, rows, batch, VOCABULARY);
  const program = await backend.compile(graph);
  const results: Tensors[] = [];
  const logits = Float32Array.from({ length: size }, (_, i) => LOGITS[i % VOCABULARY]!);
  for (let n = 0; n < steps; n++) results.push(await program.run({ logits }));
  await program.dispose();
  return results;
}

const softmax = filtered(LOGITS, { temperature: 1, topK: 0, topP: 1 });

describe.each(BACKENDS)('choices on %s', (title, create) => {
  const batch = isSlow(title) ? 64 : 4096;

  test.each([
    ['temperature', { ...GREEDY, temperature: 0.8 }],
    ['top-k', { ...GREEDY, temperature: 1, topK: 5 }],
    ['top-p', { ...GREEDY, temperature: 1, topP: 0.75 }],
    ['the penalty', { ...GREEDY, temperature: 1, repetitionPenalty: 1.5 }],
    ['all of them', WITH_ALL],
  ] as [string, SamplingOptions][])('draw tokens as often as they are probable: %s', async (_name, options) => {
    const backend = await create();
    const steps = await choose(backend, options, batch, 3);
    const exact = filtered(penalised(LOGITS, options.repetitionPenalty, HAS), options);
    const counts = new Array<number>(VOCABULARY).fill(0);
    for (const { token } of steps) for (const one of token!) counts[one]!++;
    const draws = steps.length * batch;
    // Pearson's χ² of at most 11 degrees of freedom is above 45 in 5 of a million experiments; these are the same each time.
    let chiSquared = 0;
    exact.forEach((probability, i) => {
      if (probability === 0) expect(counts[i], `token ${i} is filtered out`).toBe(0);
      else chiSquared += (counts[i]! - draws * probability) ** 2 / (draws * probability);
    });
    expect(chiSquared).toBeLessThan(45);
    // What one step draws says nothing of the next: pairs are as often equal as chance has it, within five deviations.
    const alike = steps[0]!.token!.filter((token, i) => token === steps[1]!.token![i]).length / batch;
    const chance = exact.reduce((sum, probability) => sum + probability ** 2, 0);
    expect(Math.abs(alike - chance)).toBeLessThan(5 * Math.sqrt((chance * (1 - chance)) / batch));
  });

  test('report the model’s own probability, and the penalty works without sampling', async () => {
    const backend = await create();
    const sampled = await choose(backend, WITH_ALL, 16, 1);
    const greedy = await choose(backend, { ...GREEDY, repetitionPenalty: 1.5 }, 2, 1);
    expect([...greedy[0]!.token!]).toEqual([5, 5]); // 2, where 2.1 has become 1.4
    for (const { token, probability } of [...sampled, ...greedy])
      token!.forEach((one, i) => {
        // float32, one exponential of a difference of two logits
        expect(probability![i]! / softmax[one]!).toBeCloseTo(1, 5);
      });
  });

  test('tokens that a sequence gets are seen from then on', async () => {
    const backend = await create();
    const graph = new Graph(backend.decomposed);
    const latest = graph.state('latest', [2], 'i32');
    const options = { ...GREEDY, repetitionPenalty: 100 };
    const { token } = chooseToken(graph.input('logits', [2, VOCABULARY], 'f32'), kindOf([options]), latest);
    graph.output('token', token);
    graph.assign(latest, token);
    backend.setState('latest', { dtype: 'i32', shape: [2] }, Int32Array.of(3, 5));
    const row = { ...options, key: 0, seen: [] };
    beginChoices(backend, kindOf([options]), [row, row], 2, VOCABULARY);
    const program = await backend.compile(graph);
    const written: number[][] = [[], []];
    for (let n = 0; n < 4; n++) {
      const results = await program.run({ logits: Float32Array.of(...LOGITS, ...LOGITS) });
      results.token!.forEach((one, b) => {
        written[b]!.push(one);
      });
    }
    await program.dispose();
    // by falling logits, without what each began with
    expect(written).toEqual([
      [5, 10, 0, 8],
      [3, 10, 0, 8],
    ]);
    backend.deleteState('latest');
  });
});

test.skipIf(!cuda.backend)('the same tokens on the CPU and on CUDA', async () => {
  const [ours, theirs] = [
    await choose(cuda.backend!, WITH_ALL, 64, 3),
    await choose(await createOnnxBackend(), WITH_ALL, 64, 3),
  ];
  expect(ours.map(({ token }) => token)).toEqual(theirs.map(({ token }) => token));
});

describe('a tiny model', () => {
  let fixture: Fixture;
  let backend: Backend;
  const made: Generator[] = [];
  beforeAll(async () => {
    fixture = await Fixture.open('tiny');
    backend = await createOnnxBackend({ threads: 1 });
    await loadWeights(fixture.folder, fixture.config, backend);
  });
  afterAll(() => Promise.all(made.map((generator) => generator.dispose())));

  /** Text alone: prompts of 5, 9 and 3 tokens. */
  const prompts = [5, 9, 3].map((length, n) => {
    const ids = Int32Array.from({ length }, (_, i) => 20 + 7 * n + 3 * i);
    return { name: `${n}`, ids, labelStart: length, images: [] };
  });
  const options = { ...GENERATE_DEFAULTS, ...WITH_ALL, temperature: 0.9, stopIds: [], stopOnRepetition: false };
  const idsOf = (results: readonly Generation[]) => results.map(({ ids }) => ids);

  async function write(on: Backend, given: Partial<typeof options>, some = prompts): Promise<number[][]> {
    const generator = new Generator(on, fixture.config);
    made.push(generator);
    return idsOf(await generator.generate(some, { ...options, maxNewTokens: 24, ...given }));
  }

  test('writes the same text for the same seed, another for another, and greedily what it always does', async () => {
    const first = await write(backend, { seed: 1 });
    expect(await write(backend, { seed: 1 })).toEqual(first);
    expect(await write(backend, { seed: 2 })).not.toEqual(first);
    expect(first.every((ids) => ids.length === 24)).toBe(true);
    expect(await write(backend, { ...GREEDY, seed: 1 })).toEqual(await write(backend, { ...GREEDY, seed: 2 }));
    // Equal prompts are sequences of their own.
    const [a, b] = await write(backend, { seed: 1 }, [prompts[0]!, prompts[0]!]);
    expect(a).not.toEqual(b);
  });

  test('one generator after another set of options begins anew', async () => {
    const generator = new Generator(backend, fixture.config);
    made.push(generator);
    const of = async (seed: number, repetitionPenalty: number) =>
      idsOf(await generator.generate(prompts, { ...options, maxNewTokens: 12, seed, repetitionPenalty }));
    const [first, , third] = [await of(1, 1.5), await of(2, 1), await of(1, 1.5)];
    expect(third).toEqual(first);
  });

  test('a sequence of a batch of different lengths is written as it is alone', async () => {
    const together = await write(backend, { seed: 3 });
    expect(await write(backend, { seed: 3 }, prompts.slice(0, 1))).toEqual(together.slice(0, 1));
    expect(await write(backend, { seed: 3 }, prompts.slice(0, 2))).toEqual(together.slice(0, 2));
  });

  test('sequences of unlike options are each written as they are with their own, and new numbers compile nothing', async () => {
    let compiled = 0;
    const counting = Object.create(backend, {
      compile: {
        value: (...given: Parameters<Backend['compile']>) => {
          compiled++;
          return backend.compile(...given);
        },
      },
    }) as Backend;
    const generator = new Generator(counting, fixture.config);
    made.push(generator);
    const each = [
      { ...options, ...GREEDY, maxNewTokens: 9 },
      { ...options, ...GREEDY, temperature: 0.7, seed: 6, maxNewTokens: 16 },
      { ...options, seed: 7, maxNewTokens: 12 },
    ];
    const alone: number[][] = [];
    // Of a batch of one options a sequence draws by its place in it.
    for (const [n, own] of each.entries()) alone.push((await write(backend, own))[n]!);
    expect(idsOf(await generator.generate(prompts, each))).toEqual(alone);
    expect(alone.map(({ length }) => length)).toEqual([9, 16, 12]);
    const before = compiled;
    const others = each.map((own) => ({ ...own, topK: 3, topP: 0.6, temperature: 1.9, repetitionPenalty: 1.2 }));
    expect(idsOf(await generator.generate(prompts, others))).not.toEqual(alone);
    expect(compiled).toBe(before);
  });

  test.each([
    ['sampling', {}],
    ['greedily', GREEDY],
  ])(
    'steps called ahead, over a cache that is large from the start, write what steps by need write: %s',
    async (_how, how) => {
      // 64 new tokens' room at first, so that the cache grows on the way.
      const byNeed = await write(backend, { ...how, seed: 4, maxNewTokens: 150 });
      const ahead = Object.create(backend, { ahead: { value: 8 } }) as Backend;
      expect(await write(ahead, { ...how, seed: 4, maxNewTokens: 150 })).toEqual(byNeed);
    },
  );

  test('a penalty keeps tokens from coming again', async () => {
    const [plain, harsh] = [1, 1e6].map((repetitionPenalty) => ({ ...GREEDY, repetitionPenalty, maxNewTokens: 40 }));
    const repeats = (texts: number[][]) =>
      texts.reduce(
        (sum, ids, n) => sum + [...prompts[n]!.ids, ...ids].length - new Set([...prompts[n]!.ids, ...ids]).size,
        0,
      );
    expect(repeats(await write(backend, plain!))).toBeGreaterThan(0);
    expect(repeats(await write(backend, harsh!))).toBe(0);
  });

  test.skipIf(!cuda.backend)('the same text on the CPU and on CUDA, in float32', async () => {
    await loadWeights(fixture.folder, fixture.config, cuda.backend!);
    const wanted = { seed: 5, maxNewTokens: 6 };
    expect(await write(cuda.backend!, wanted)).toEqual(await write(backend, wanted));
  });
});
