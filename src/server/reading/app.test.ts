// The API by its answers, over an engine that says back what it was given: shapes, streaming, faults, limits and access.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StubEngine } from '../../../test/serving/stub_engine.ts';
import type { Access } from '../guard.ts';
import { createReadingApp } from './app.ts';
import { ReadingQueue } from './queue.ts';

const ORIGIN = 'http://127.0.0.1:6370';
const SETTINGS = { name: 'tiny', model: 'models/tiny', maxNewTokens: 32 };
const LOCAL: Access = { host: '127.0.0.1' };

let engine: StubEngine;
let queue: ReadingQueue;

function start(held: boolean, most = 4): void {
  engine = new StubEngine(held);
  queue = new ReadingQueue(engine, { batch: 2, most });
}
beforeEach(() => start(false));
afterEach(() => {
  for (const batch of engine.batches) batch.finish();
});

interface Asked {
  method?: string;
  body?: string | FormData;
  headers?: Record<string, string>;
  access?: Access;
  signal?: AbortSignal;
}

async function request(path: string, { access = LOCAL, headers = {}, ...init }: Asked = {}): Promise<Response> {
  const app = createReadingApp({ queue, settings: SETTINGS, access, bodyBytes: 20_000 });
  return await app.fetch(
    new Request(`${ORIGIN}${path}`, {
      method: init.body === undefined ? 'GET' : 'POST',
      headers: { host: '127.0.0.1:6370', ...headers },
      ...init,
    }),
  );
}

const dataUrl = (text: string): string => `data:image/png;base64,${Buffer.from(text).toString('base64')}`;
const image = (text: string) => ({ type: 'image_url', image_url: { url: dataUrl(text) } });
const user = (...content: unknown[]) => ({ role: 'user', content });

const chat = (body: unknown, more: Asked = {}): Promise<Response> =>
  request('/v1/chat/completions', {
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
    ...more,
  });

interface Fault {
  error: { message: string; type: string; param: string | null; code: string | null };
}
const faultOf = async (response: Response): Promise<Fault['error'] & { status: number }> => ({
  status: response.status,
  ...((await response.json()) as Fault).error,
});

const eventsOf = async (response: Response): Promise<string[]> =>
  (await response.text())
    .trim()
    .split('\n\n')
    .map((event) => event.replace(/^data: /, ''));

describe('POST /v1/chat/completions', () => {
  it('answers as OpenAI does, with what was read beside it', async () => {
    const response = await chat({
      model: 'whatever',
      messages: [user({ type: 'text', text: 'Read it.' }, image('x ^ 2'))],
      max_tokens: 16,
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      created: expect.any(Number),
      model: 'tiny',
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'x ^ 2', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      texlens: {
        ...{ latex: 'x^2', as_written: 'x ^ 2', confidence: 0.5, stop: 'stop_token', look: 'first' },
        prompt: 'Read.',
        ignored_messages: 0,
      },
    });
    expect(engine.batches[0]).toMatchObject({
      questions: [{ said: 'Read it.' }],
      samplings: [{ maxNewTokens: 16, temperature: 0 }],
    });
  });

  it('reads several images as one question, with the prompt of the training where there is none', async () => {
    await chat({
      messages: [{ role: 'system', content: 'You read.' }, user(image('a'), image('b'))],
      max_tokens: 4000,
    });
    const [{ questions, samplings }] = engine.batches as [(typeof engine.batches)[0]];
    expect(questions[0]!.images.map(String)).toEqual(['a', 'b']);
    expect(questions[0]!.said).toBeUndefined();
    expect(samplings[0]!.maxNewTokens).toBe(32); // what the server allows
  });

  it('looks again at what does not parse, but not at what the request itself cuts', async () => {
    for (const more of [{}, { max_tokens: 100 }, { max_tokens: 5 }, { stop: '=' }])
      await chat({ messages: [user(image('a'))], ...more });
    expect(engine.batches.map(({ samplings }) => samplings[0]!.secondLook)).toEqual([true, true, false, false]);
  });

  it('counts the messages that the model is not shown', async () => {
    const messages = [{ role: 'system', content: 'You read.' }, user(image('a')), user(image('b'))];
    expect(await (await chat({ messages })).json()).toMatchObject({
      choices: [{ message: { content: 'b' } }],
      texlens: { ignored_messages: 2 },
    });
  });

  it('hands sampling over', async () => {
    const sampling = { temperature: 0.5, top_p: 0.9, top_k: 5, repetition_penalty: 1.1, seed: 3 };
    await chat({ messages: [user(image('a'))], ...sampling, stop: '=', max_completion_tokens: 8, max_tokens: 9 });
    expect(engine.batches[0]).toMatchObject({
      questions: [{ stop: ['='] }],
      samplings: [{ temperature: 0.5, topP: 0.9, topK: 5, repetitionPenalty: 1.1, seed: 3, maxNewTokens: 8 }],
    });
  });

  it.each([
    ['length', 'length'],
    ['repetition', 'length'],
    ['stop_text', 'stop'],
    ['blank', 'stop'],
  ] as const)('calls an answer that ended by %s %s', async (stop, reason) => {
    engine.more = { stop };
    const body = (await (await chat({ messages: [user(image('a'))] })).json()) as object;
    expect(body).toMatchObject({ choices: [{ finish_reason: reason }], texlens: { stop } });
  });

  it('streams what is written as it is written', async () => {
    start(true);
    const answering = chat({
      messages: [user(image('x ^ 2'))],
      stream: true,
      stream_options: { include_usage: true },
    });
    await expect.poll(() => engine.batches.length).toBe(1);
    engine.batches[0]!.write(0, 'x ');
    const response = await answering; // the first text, while the model goes on
    expect(response.headers.get('content-type')).toMatch('text/event-stream');
    engine.batches[0]!.write(0, '^ 2');
    engine.batches[0]!.finish();
    const events = await eventsOf(response);
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event) as { id: string; choices: object[] });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.flatMap(({ choices }) => choices)).toMatchObject([
      { delta: { role: 'assistant', content: 'x ' }, finish_reason: null },
      { delta: { content: '^ 2' }, finish_reason: null },
      { delta: {}, finish_reason: 'stop' },
    ]);
    expect(chunks.at(-2)).toMatchObject({ texlens: { latex: 'x^2', confidence: 0.5 } });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 15 } });
  });

  it('answers a fault before the first text with its status, and one after it in the stream', async () => {
    const early = await faultOf(await chat({ messages: [user(image('bad picture'))], stream: true }));
    expect(early).toMatchObject({ status: 400, message: 'bad picture: not a readable image' });
    start(true);
    const answering = chat({ messages: [user(image('x'))], stream: true });
    await expect.poll(() => engine.batches.length).toBe(1);
    engine.batches[0]!.write(0, 'x');
    engine.batches[0]!.fail(new Error('out of memory'));
    const events = await eventsOf(await answering);
    expect(JSON.parse(events.at(-1)!)).toMatchObject({ error: { message: 'out of memory', type: 'server_error' } });
  });

  it.each<[string, unknown, object]>([
    ['no JSON', '{"messages":', { code: 'invalid_json' }],
    ['no messages', {}, { param: 'messages' }],
    [
      'an address',
      { messages: [user({ type: 'image_url', image_url: { url: 'https://example.org/a.png' } })] },
      { param: 'messages.0.content.0.image_url.url', message: expect.stringContaining('Nothing is fetched') },
    ],
    [
      'a file address',
      { messages: [user({ type: 'image_url', image_url: { url: 'file:///etc/passwd' } })] },
      { code: 'invalid_image_url' },
    ],
    [
      'no base64',
      { messages: [user({ type: 'image_url', image_url: { url: 'data:image/png;base64,%%%' } })] },
      { code: 'invalid_base64' },
    ],
    [
      'text alone',
      { messages: [{ role: 'user', content: 'hello' }] },
      { param: 'messages.0.content', code: 'images_expected' },
    ],
    [
      'too many images',
      { messages: [user(...Array.from({ length: 17 }, () => image('a')))] },
      { message: expect.stringContaining('found 17') },
    ],
    ['an answer last', { messages: [user(image('a')), { role: 'assistant', content: 'x' }] }, { param: 'messages.1' }],
    ['two choices', { messages: [user(image('a'))], n: 2 }, { param: 'n' }],
    ['tools', { messages: [user(image('a'))], tools: [] }, { param: 'tools' }],
    ['a cold temperature', { messages: [user(image('a'))], temperature: -1 }, { param: 'temperature' }],
    [
      'a share above 1',
      { messages: [user(image('a'))], top_p: 1.5 },
      { param: 'top_p', message: 'top_p: expected a number of 0 to 1' },
    ],
    ['no tokens', { messages: [user(image('a'))], max_tokens: 0 }, { param: 'max_tokens' }],
    [
      'a long prompt',
      { messages: [user(image('a'), { type: 'text', text: 'x'.repeat(9000) })] },
      { message: expect.stringContaining('8000 at most') },
    ],
  ])('refuses %s', async (_, body, fault) => {
    expect(await faultOf(await chat(body))).toMatchObject({ status: 400, type: 'invalid_request_error', ...fault });
    expect(engine.batches).toEqual([]);
  });
});

describe('POST /api/read', () => {
  const form = (...texts: string[]): FormData => {
    const data = new FormData();
    for (const [i, text] of texts.entries()) data.append('file', new Blob([text]), `${i}.png`);
    return data;
  };

  it('reads the bytes of an image, whatever their type is called', async () => {
    for (const type of ['image/png', 'application/x-www-form-urlencoded', 'application/octet-stream']) {
      const response = await request('/api/read', { body: 'x ^ 2', headers: { 'content-type': type } });
      expect(await response.json()).toEqual({
        latex: 'x^2',
        as_written: 'x ^ 2',
        confidence: 0.5,
        stop: 'stop_token',
        look: 'first',
        ms: expect.any(Number),
      });
    }
  });

  it('reads the files of a form together, each with its name, and tells which cannot be read', async () => {
    expect(await (await request('/api/read', { body: form('a', 'bad b', 'c') })).json()).toMatchObject([
      { name: '0.png', latex: 'a' },
      { name: '1.png', error: { message: 'bad b: not a readable image' } },
      { name: '2.png', latex: 'c' },
    ]);
    expect(engine.batches.map(({ texts }) => texts)).toEqual([['a', 'bad b'], ['c']]);
    expect(await (await request('/api/read', { body: form('a') })).json()).toMatchObject({ latex: 'a' });
  });

  it('takes a prompt and a length, from the address or the form', async () => {
    await request('/api/read?prompt=Read&max_tokens=7', { body: 'x' });
    const data = form('y');
    data.append('prompt', 'Read');
    data.append('max_tokens', '7');
    await request('/api/read', { body: data });
    for (const batch of engine.batches)
      expect(batch).toMatchObject({ questions: [{ prompt: 'Read' }], samplings: [{ maxNewTokens: 7 }] });
    expect((await faultOf(await request('/api/read?tokens=7', { body: 'x' }))).message).toContain('tokens');
  });

  it('says what is wrong with a body', async () => {
    const empty = new FormData();
    empty.append('prompt', 'x');
    expect(await faultOf(await request('/api/read', { method: 'POST' }))).toMatchObject({
      status: 400,
      message: expect.stringMatching(/empty/),
    });
    expect(await faultOf(await request('/api/read', { body: empty }))).toMatchObject({
      status: 400,
      message: expect.stringMatching(/no file/),
    });
    expect(await faultOf(await request('/api/read', { body: 'bad x' }))).toMatchObject({
      status: 400,
      message: expect.stringMatching(/bad x/),
    });
    expect(await faultOf(await request('/api/read', { body: form('a', 'b', 'c', 'd', 'e') }))).toMatchObject({
      status: 400,
      message: expect.stringMatching(/5 files, 4 at most/),
    });
    const json = { body: '{}', headers: { 'content-type': 'application/json' } };
    expect(await faultOf(await request('/api/read', json))).toMatchObject({ status: 415 });
  });
});

describe('limits', () => {
  it('refuses a body that is too large, told or not', async () => {
    const large = 'x'.repeat(30_000);
    expect(await faultOf(await request('/api/read', { body: large }))).toMatchObject({
      status: 413,
      message: expect.stringMatching(/19.5 KiB/),
    });
    const stream = new Blob([large]).stream();
    const unsaid = new Request(`${ORIGIN}/api/read`, { method: 'POST', body: stream, duplex: 'half' } as RequestInit);
    unsaid.headers.set('host', '127.0.0.1:6370');
    const app = createReadingApp({ queue, settings: SETTINGS, access: LOCAL, bodyBytes: 20_000 });
    expect(await faultOf(await app.fetch(unsaid))).toMatchObject({ status: 413, code: 'body_too_large' });
  });

  it('turns away what the queue has no room for, and says when to come again', async () => {
    start(true, 1);
    const first = request('/api/read', { body: 'a' });
    await expect.poll(() => queue.length.reading).toBe(1);
    const second = request('/api/read', { body: 'b' });
    await expect.poll(() => queue.length.waiting).toBe(1);
    const third = await request('/api/read', { body: 'c' });
    expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await faultOf(third)).toMatchObject({ status: 429, type: 'rate_limit_error', code: 'queue_full' });
    engine.batches[0]!.finish();
    await expect.poll(() => engine.batches.length).toBe(2);
    engine.batches[1]!.finish();
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
  });

  it('forgets a request whose client has gone', async () => {
    start(true);
    const busy = request('/api/read', { body: 'a' });
    await expect.poll(() => queue.length.reading).toBe(1);
    const leaving = new AbortController();
    const left = request('/api/read', { body: 'b', signal: leaving.signal });
    await expect.poll(() => queue.length.waiting).toBe(1);
    leaving.abort();
    await left;
    expect(queue.length.waiting).toBe(0);
    engine.batches[0]!.finish();
    expect((await busy).status).toBe(200);
    expect(engine.batches).toHaveLength(1);
  });
});

describe('what is served', () => {
  it('lists the model', async () => {
    expect(await (await request('/v1/models')).json()).toMatchObject({ data: [{ id: 'tiny', object: 'model' }] });
    expect(await (await request('/v1/models/tiny')).json()).toMatchObject({ id: 'tiny', object: 'model' });
    const other = await request('/v1/models/of/another');
    expect(other.status).toBe(404);
    expect(await other.json()).toMatchObject({
      error: { message: 'no model of/another is here; tiny is', code: 'model_not_found' },
    });
  });

  it('tells how it goes', async () => {
    await request('/api/read', { body: 'x' });
    await request('/api/read', { body: 'bad' });
    const health = await request('/api/health');
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({
      status: 'ready',
      model: 'models/tiny',
      adapter: null,
      device: 'cpu',
      queue: { waiting: 0, reading: 0, most: 4 },
      batch: 2,
      counts: { answered: 1, unreadable: 1, failed: 0, aborted: 0, refused: 0 },
      latency_ms: { p50: expect.any(Number), p95: expect.any(Number) },
    });
    engine.alive = false;
    expect((await request('/api/health')).status).toBe(503);
  });

  it('serves its page and no other, and tells in its own shape what it has not', async () => {
    expect(await (await request('/')).text()).toContain('read.js');
    expect((await request('/read.js')).headers.get('content-type')).toMatch('javascript');
    for (const path of ['/index.html', '/api/runs', '/v1/nothing'])
      expect(await faultOf(await request(path))).toMatchObject({ status: 404 });
  });
});

describe('access', () => {
  it('answers programs and its own page, not the pages of other sites or other names', async () => {
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await request('/api/read', { body: 'x', headers })).status;
    expect(await status({})).toBe(200);
    expect(await status({ origin: ORIGIN })).toBe(200);
    expect(await status({ origin: 'http://evil.example' })).toBe(403);
    expect(await status({ origin: 'null' })).toBe(403);
    expect(await status({ host: 'evil.example' })).toBe(403);
  });

  it('takes the token as the key of OpenAI’s clients', async () => {
    const access = { host: '0.0.0.0', token: 'correct-horse' };
    const body = { messages: [user(image('a'))] };
    const host = '192.168.0.7:6370';
    expect(await faultOf(await chat(body, { access, headers: { host } }))).toMatchObject({
      status: 401,
      type: 'authentication_error',
    });
    const headers = { host, authorization: 'Bearer correct-horse' };
    expect((await chat(body, { access, headers })).status).toBe(200);
    expect((await request('/?token=correct-horse', { access, headers: { host } })).status).toBe(302);
  });
});
