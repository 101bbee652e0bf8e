// texlens serve through the built command line, with the bundled model: what it reads over HTTP is what predict reads,
// alone, together and streamed; it answers while it reads, and ends when what was asked is answered.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawSample } from '../../src/data/synthetic/sample.ts';
import { encodePng } from '../../src/formats/png.ts';
import { jsonLines, MAIN, texlens, texlensHere } from './cli.ts';

const TOKEN = 'correct-horse';
const NAMES = ['a.png', 'b.png', 'c.png'];

let folder: string;
let child: ChildProcess;
let url: string;
let told = '';
let predicted: { latex: string; confidence: number }[];
let asWritten: string[];
const at = (name: string): string => join(folder, name);

function serve(...args: string[]): ChildProcess {
  const flags = ['--json', '--port', '0', '--device', 'cpu', ...args];
  return spawn(process.execPath, [MAIN, 'serve', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function predict(...flags: string[]): Promise<Record<string, unknown>[]> {
  const args = ['predict', ...NAMES.map(at), '--batch', '1', '--device', 'cpu', '--json', ...flags];
  const { code, stdout, stderr } = await texlensHere(...args);
  expect(code, stderr).toBe(0);
  return jsonLines(stdout).sort((a, b) => String(a.image).localeCompare(String(b.image)));
}

const ask = async (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(new URL(path, url), { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...init.headers } });

async function chat(name: string, more: object = {}, signal?: AbortSignal): Promise<Response> {
  const data = `data:image/png;base64,${(await readFile(at(name))).toString('base64')}`;
  const content = [{ type: 'image_url', image_url: { url: data } }];
  const body = JSON.stringify({ model: 'texlens-base', messages: [{ role: 'user', content }], ...more });
  return ask('v1/chat/completions', { method: 'POST', body, signal, headers: { 'content-type': 'application/json' } });
}

interface Health {
  readonly queue: { readonly waiting: number; readonly reading: number };
  readonly counts: { readonly answered: number; readonly aborted: number };
}
const health = async (): Promise<Health> => (await (await ask('api/health')).json()) as Health;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-serve-'));
  for (const [i, name] of NAMES.entries()) {
    const sample = await drawSample({ seed: 1, style: 'printed', level: i === 0 ? 'tiny' : 'easy' }, i);
    await writeFile(at(name), encodePng(sample));
  }
  child = serve('--token', TOKEN, '--batch', '2');
  child.stderr?.on('data', (text) => {
    told += String(text);
  });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  url = (JSON.parse(String(line)) as { url: string }).url;
  predicted = (await predict()) as unknown as typeof predicted;
  asWritten = (await predict('--spelling', 'as-written')).map(({ latex }) => latex as string);
});
afterAll(async () => {
  child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Sums over batches of other sizes round otherwise in the last of float32's seven digits. */
const CLOSE = 4;

describe('texlens serve', () => {
  it('says where it is when the model is ready', () => {
    expect(told).toContain('texlens-base is ready: ');
    expect(url).toMatch(/\?token=correct-horse$/);
  });

  it('reads a picture as predict does', async () => {
    const body = await readFile(at('a.png'));
    const answer = (await (await ask('api/read', { method: 'POST', body })).json()) as object;
    expect(answer).toEqual({
      latex: predicted[0]!.latex,
      as_written: asWritten[0],
      confidence: expect.closeTo(predicted[0]!.confidence, CLOSE),
      stop: 'stop_token',
      look: 'first',
      ms: expect.any(Number),
    });
  });

  it('says that a picture is blank, whole and streamed', async () => {
    const paper = { pixels: new Uint8Array(200 * 60).fill(250), width: 200, height: 60, channels: 1 } as const;
    await writeFile(at('blank.png'), encodePng(paper));
    const answer = await ask('api/read', { method: 'POST', body: await readFile(at('blank.png')) });
    expect(await answer.json()).toMatchObject({ latex: '', as_written: '', confidence: 0, stop: 'blank' });
    expect(await (await chat('blank.png')).json()).toMatchObject({
      choices: [{ message: { content: '' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 0 },
    });
    expect(await (await chat('blank.png', { stream: true })).text()).toMatch(/"stop":"blank".*\n\ndata: \[DONE\]/s);
  });

  it('reads the files of a form together', async () => {
    const form = new FormData();
    for (const name of NAMES) form.append('file', new Blob([await readFile(at(name))]), name);
    const answers = (await (await ask('api/read', { method: 'POST', body: form })).json()) as object[];
    expect(answers).toMatchObject(NAMES.map((name, i) => ({ name, latex: predicted[i]!.latex })));
  });

  it('answers OpenAI’s clients, whole and streamed alike', async () => {
    const whole = (await (await chat('b.png')).json()) as { choices: { message: { content: string } }[] };
    expect(whole).toMatchObject({
      choices: [{ message: { content: asWritten[1] }, finish_reason: 'stop' }],
      texlens: { latex: predicted[1]!.latex, confidence: expect.closeTo(predicted[1]!.confidence, CLOSE) },
    });
    const streamed = await chat('b.png', { stream: true });
    const events = (await streamed.text()).trim().split('\n\n');
    expect(events.at(-1)).toBe('data: [DONE]');
    const chunks = events.slice(0, -1).map((event) => {
      return JSON.parse(event.slice(6)) as { choices: { delta: { content?: string } }[] };
    });
    const texts = chunks.map(({ choices }) => choices[0]!.delta.content ?? '');
    expect(texts.join('')).toBe(asWritten[1]);
    expect(texts.filter((text) => text !== '').length).toBeGreaterThan(2); // in pieces
    expect(chunks.at(-1)).toMatchObject({
      texlens: { latex: predicted[1]!.latex },
      choices: [{ finish_reason: 'stop' }],
    });
  });

  it('ends an answer where it is asked to', async () => {
    const cut = (await (await chat('b.png', { max_tokens: 2 })).json()) as {
      choices: { message: { content: string } }[];
    };
    expect(cut).toMatchObject({ choices: [{ finish_reason: 'length' }], usage: { completion_tokens: 2 } });
    const { content } = cut.choices[0]!.message;
    expect(content.length).toBeLessThan(asWritten[1]!.length);
    expect(asWritten[1]!.startsWith(content)).toBe(true);
    expect(await (await chat('b.png', { stop: [' }', '='] })).json()).toMatchObject({
      choices: [{ message: { content: asWritten[1]!.split(/ }|=/)[0] }, finish_reason: 'stop' }],
      texlens: { stop: 'stop_text' },
    });
  });

  it('draws the same again by the same seed', async () => {
    const drawn = async (seed: number): Promise<unknown> =>
      ((await (await chat('c.png', { temperature: 2, seed, max_tokens: 12 })).json()) as { choices: unknown }).choices;
    const again = await drawn(1);
    expect(await drawn(1)).toEqual(again);
    expect(await drawn(2)).not.toEqual(again);
  });

  it('answers while it reads, and drops who has gone', async () => {
    const { aborted } = (await health()).counts;
    // Long answers: nothing hot ends by itself so soon.
    const long = { temperature: 2, max_tokens: 120 };
    const gone = new AbortController();
    const kept = [chat('c.png', { ...long, seed: 1 }), chat('c.png', { ...long, seed: 2 })];
    const left = chat('c.png', { ...long, seed: 3 }, gone.signal);
    left.catch(() => {});
    await expect.poll(async () => (await health()).queue, { interval: 5 }).toMatchObject({ waiting: 2, reading: 1 });
    gone.abort();
    await expect(left).rejects.toThrow();
    await expect.poll(async () => (await health()).counts.aborted).toBe(aborted + 1);
    for (const answer of kept) expect((await answer).status).toBe(200);
  });

  it('reads with the prompt of the training, whatever a chat says', async () => {
    const data = `data:image/png;base64,${(await readFile(at('b.png'))).toString('base64')}`;
    const content = [
      { type: 'text', text: 'Convert this image to LaTeX.' },
      { type: 'image_url', image_url: { url: data } },
    ];
    const body = JSON.stringify({ messages: [{ role: 'user', content }] });
    const answer = await ask('v1/chat/completions', { method: 'POST', body });
    expect(await answer.json()).toMatchObject({ texlens: { as_written: asWritten[1], prompt: '\\LaTeX' } });
  });

  it('lets in nobody without the token', async () => {
    expect((await fetch(new URL('v1/models', url))).status).toBe(401);
    expect((await ask('v1/models')).status).toBe(200);
  });

  it('ends on Ctrl-C when what was asked is answered', async () => {
    const last = chat('c.png', { temperature: 2, max_tokens: 60, seed: 1 });
    await expect.poll(async () => (await health()).queue.reading, { interval: 5 }).toBe(1);
    const left = once(child, 'exit');
    child.kill('SIGINT');
    expect((await last).status).toBe(200);
    expect(await left).toEqual([0, null]);
    expect(told).toContain('answering 1 more');
  });

  it('ends at once on a second Ctrl-C, in the midst of a reading', async () => {
    child = serve();
    let said = '';
    child.stderr?.on('data', (text) => {
      said += String(text);
    });
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    url = (JSON.parse(String(line)) as { url: string }).url;
    const cut = chat('c.png', { temperature: 2, max_tokens: 256, seed: 1 });
    cut.catch(() => {});
    await expect.poll(async () => (await health()).queue.reading, { interval: 5 }).toBe(1);
    const left = once(child, 'exit');
    child.kill('SIGINT');
    await expect.poll(() => said, { interval: 5 }).toContain('answering 1 more');
    child.kill('SIGINT');
    expect(await left, said).toEqual([null, 'SIGINT']);
    await expect(cut).rejects.toThrow();
  });

  it('a port that another program has is refused', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      const { code, stderr } = await texlens('serve', '--device', 'cpu', '--port', String(port));
      expect(code).toBe(2);
      expect(stderr).toContain(`--port ${port}: another program listens there`);
    } finally {
      other.close();
    }
  });

  it('a prompt that the model was not trained with is warned of', async () => {
    const { code, stderr } = await texlensHere('predict', at(NAMES[0]!), '--prompt', 'Read it.', '--device', 'cpu');
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(
      'was trained with the prompt "\\\\LaTeX" alone, and with "Read it." may read nothing well',
    );
  });

  it('says what keeps it from beginning', async () => {
    const open = await texlens('serve', '--host', '0.0.0.0');
    expect([open.code, open.stderr]).toEqual([2, expect.stringContaining('--token')]);
    const lost = await texlens('serve', '--model', at('nowhere'), '--device', 'cpu', '--port', '0');
    expect([lost.code, lost.stderr]).toEqual([2, expect.stringContaining(at('nowhere'))]);
  });
});
