// The line before the model: what is read together, in which order, and who is turned away.
import { expect, it } from 'vitest';
import { StubEngine } from '../../../test/serving/stub_engine.ts';
import type { Question } from './contract.ts';
import { type Asked, ReadingQueue } from './queue.ts';

const GREEDY: Asked = { maxNewTokens: 8, temperature: 0, topP: 1, topK: 0, secondLook: true };
const WARM: Asked = { ...GREEDY, temperature: 1 };

const question = (text: string): Question => ({ images: [Buffer.from(text)] });
const turn = (): Promise<void> => new Promise((next) => setImmediate(() => setImmediate(next)));

function queueOf({ batch = 2, most = 8 } = {}) {
  const engine = new StubEngine(true);
  const queue = new ReadingQueue(engine, { batch, most });
  const ask = (text: string, asked = GREEDY, signal?: AbortSignal): Promise<string> =>
    queue.ask([question(text)], asked, { signal })[0]!.then((answer) => answer.text);
  /** Lets every batch end, one after another. */
  const finishAll = async (): Promise<void> => {
    await turn();
    for (let done = 0; done < engine.batches.length; done++) {
      engine.batches[done]!.finish();
      await turn();
    }
  };
  return { engine, queue, ask, finishAll, texts: () => engine.batches.map(({ texts }) => texts) };
}

it('reads together what comes while the model is busy, oldest first', async () => {
  const { queue, ask, finishAll, texts } = queueOf();
  const first = ask('a');
  await turn();
  const rest = ['b', 'c', 'd'].map((text) => ask(text));
  expect(texts()).toEqual([['a']]);
  expect(queue.length).toEqual({ waiting: 3, reading: 1 });
  await finishAll();
  expect(await Promise.all([first, ...rest])).toEqual(['a', 'b', 'c', 'd']);
  expect(texts()).toEqual([['a'], ['b', 'c'], ['d']]);
  expect(queue.counts).toMatchObject({ answered: 4, failed: 0 });
  expect(queue.latencies.percentile(0.5)).toBeGreaterThan(0);
});

it('reads together what is sampled unlike, each in its own way', async () => {
  const { ask, finishAll, texts, engine } = queueOf({ batch: 8 });
  const all = [
    ask('greedy 1'),
    ask('short', { ...GREEDY, maxNewTokens: 4 }),
    ask('greedy 2', { ...GREEDY, seed: 7, topP: 0.7 }), // neither says anything where nothing is drawn
    ask('warm 1', WARM),
    ask('warm 2', { ...WARM, topP: 0.5 }),
  ];
  await finishAll();
  await Promise.all(all);
  expect(texts()).toEqual([['greedy 1', 'short', 'greedy 2', 'warm 1', 'warm 2']]);
  const [{ samplings }] = engine.batches as [(typeof engine.batches)[0]];
  expect(samplings.map(({ maxNewTokens }) => maxNewTokens)).toEqual([8, 4, 8, 8, 8]);
  expect(samplings.map(({ temperature }) => temperature)).toEqual([0, 0, 0, 1, 1]);
  expect(samplings.map(({ topP }) => topP)).toEqual([1, 1, 1, 1, 0.5]);
  expect(samplings.slice(0, 3).map(({ seed }) => seed)).toEqual([0, 0, 0]);
  expect(samplings[3]!.seed).not.toBe(samplings[4]!.seed);
});

it('reads a sampled question with a seed alone, by that seed, and never lets the oldest wait', async () => {
  const { ask, finishAll, texts, engine } = queueOf({ batch: 8 });
  const all = [ask('a', { ...WARM, seed: 3 }), ask('b'), ask('c', { ...WARM, seed: 3 }), ask('d', WARM)];
  await finishAll();
  await Promise.all(all);
  expect(texts()).toEqual([['a'], ['b', 'd'], ['c']]);
  expect([0, 2].map((n) => engine.batches[n]!.samplings[0]!.seed)).toEqual([3, 3]);
});

it('drops who gives up before his turn, and forgets who gives up in it', async () => {
  const { queue, ask, finishAll, texts } = queueOf();
  const [during, before] = [new AbortController(), new AbortController()];
  const early = Promise.allSettled([ask('a', GREEDY, during.signal), ask('b')]);
  await turn(); // a and b are being read
  const late = Promise.allSettled([ask('c'), ask('d', GREEDY, before.signal), ask('e')]);
  during.abort();
  before.abort();
  await finishAll();
  const results = [...(await early), ...(await late)].map((one) => (one.status === 'fulfilled' ? one.value : 'gone'));
  expect(results).toEqual(['gone', 'b', 'c', 'gone', 'e']);
  expect(texts()).toEqual([
    ['a', 'b'],
    ['c', 'e'],
  ]);
  expect(queue.counts).toEqual({ answered: 3, unreadable: 0, failed: 0, aborted: 2, refused: 0 });
  await expect(ask('f', GREEDY, AbortSignal.abort())).rejects.toThrow('given up');
});

it('turns away what has no room, all of a request or nothing, and says when to come again', async () => {
  const { queue, ask, finishAll } = queueOf({ batch: 1, most: 2 });
  const all = [ask('a')];
  await turn();
  all.push(ask('b'));
  const fault = { status: 429, details: { code: 'queue_full', retryAfter: 2 } };
  expect(() => queue.ask([question('c'), question('d')], GREEDY)).toThrow(expect.objectContaining(fault));
  expect(queue.length.waiting).toBe(1);
  all.push(ask('e'));
  await finishAll();
  expect(await Promise.all(all)).toEqual(['a', 'b', 'e']);
  expect(queue.counts.refused).toBe(2);
});

it('tells each question its own fault, and all of a batch that of the model', async () => {
  const { engine, queue, ask, finishAll } = queueOf();
  const mixed = Promise.allSettled([ask('bad one'), ask('good')]);
  await finishAll();
  expect((await mixed).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  const both = Promise.allSettled([ask('x'), ask('y')]);
  await turn();
  engine.batches.at(-1)!.fail(new Error('out of memory'));
  expect(await both).toMatchObject([
    { reason: { message: 'out of memory' } },
    { reason: { message: 'out of memory' } },
  ]);
  const after = ask('z');
  await turn();
  engine.batches.at(-1)!.finish();
  expect(await after).toBe('z');
  expect(queue.counts).toMatchObject({ answered: 2, unreadable: 1, failed: 2 });
});

it('answers what it has when it is closed, and takes nothing more', async () => {
  const { queue, ask, finishAll } = queueOf({ batch: 1 });
  const all = [ask('a'), ask('b')];
  const closed = queue.close();
  expect(() => ask('c')).toThrow('stopping');
  await finishAll();
  await closed;
  expect(await Promise.all(all)).toEqual(['a', 'b']);
});
