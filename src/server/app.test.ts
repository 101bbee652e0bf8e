// The server by its answers: what is listed, read, changed and deleted, and who is turned away.
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun } from '../tracker/run.ts';
import { createApp } from './app.ts';
import type { Access } from './guard.ts';

const ORIGIN = 'http://127.0.0.1:6360';
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

let root: string;
let ids: Record<string, string>;

const app = (access: Access = { host: '127.0.0.1' }) => createApp({ root, access, intervalMs: 0 });

async function get(path: string, headers: Record<string, string> = {}, access?: Access): Promise<Response> {
  return await app(access).fetch(new Request(`${ORIGIN}${path}`, { headers: { host: '127.0.0.1:6360', ...headers } }));
}

async function json(path: string): Promise<Record<string, unknown>> {
  const response = await get(path);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

async function change(method: string, path: string, body: unknown, headers: Record<string, string> = {}) {
  return await app().fetch(
    new Request(`${ORIGIN}${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { host: '127.0.0.1:6360', origin: ORIGIN, 'content-type': 'application/json', ...headers },
    }),
  );
}

const list = async (): Promise<Record<string, unknown>[]> =>
  (await json('/api/runs')).runs as Record<string, unknown>[];

async function makeRun(name: string): Promise<void> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'pixel.png'), PIXEL);
  const run = await createRun({ folder, name, captureConsole: false, systemEverySeconds: 0, config: { lr: 0.5 } });
  for (let step = 1; step <= 50; step++) run.log({ loss: 1 / step, odd: step === 7 ? Number.NaN : 1 }, step);
  await run.evaluation({
    step: 50,
    metrics: { exact_match: 0.5 },
    rows: [
      { image: join(folder, 'pixel.png'), truth: 'x ^ { 2 }', prediction: 'x^{2}', metrics: { edit_distance: 0 } },
      { image: join(folder, 'gone.png'), truth: 'a', prediction: 'b', metrics: { edit_distance: 1 } },
    ],
  });
  await run.finish();
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'texlens-server-'));
  for (const name of ['first', 'second', 'third']) await makeRun(name);
  ids = Object.fromEntries((await list()).map((run) => [run.name, run.id as string]));
});

afterAll(() => rm(root, { recursive: true, force: true }));

describe('reading', () => {
  it('lists runs with their latest values', async () => {
    const run = (await list()).find(({ name }) => name === 'first');
    expect(run).toMatchObject({ status: 'finished', step: 50, path: 'first', latest: { loss: 0.02 } });
  });

  it('names folders whose run.json is damaged', async () => {
    await mkdir(join(root, 'broken'));
    await writeFile(join(root, 'broken', 'run.json'), '{"schema":');
    expect((await json('/api/runs')).damaged).toEqual([join(root, 'broken')]);
    await rm(join(root, 'broken'), { recursive: true });
  });

  it('gives a copied run an address of its own', async () => {
    const text = await readFile(join(root, 'first', 'run.json'), 'utf8');
    await mkdir(join(root, 'zz-copy'));
    await writeFile(join(root, 'zz-copy', 'run.json'), text);
    const both = (await list()).filter(({ name }) => name === 'first');
    expect(new Set(both.map(({ id }) => id)).size).toBe(2);
    expect(both.find(({ path }) => path === 'first')?.id).toBe(ids.first);
    await rm(join(root, 'zz-copy'), { recursive: true });
  });

  it('serves a series, and counts what is not finite', async () => {
    const query = 'source=scalars&axis=step&points=100';
    expect(await json(`/api/runs/${ids.first}/series?key=loss&from=2&to=4&${query}`)).toMatchObject({
      x: [2, 3, 4],
      mean: [1 / 2, 1 / 3, 1 / 4],
      total: 3,
    });
    expect(await json(`/api/runs/${ids.first}/series?key=odd&${query}`)).toMatchObject({ total: 50, notFinite: 1 });
    expect((await get(`/api/runs/${ids.first}/series?key=loss&axis=moon`)).status).toBe(400);
  });

  it('calls a prediction right when it differs in spacing alone', async () => {
    const { rows } = (await json(`/api/runs/${ids.first}/evaluations/50`)) as { rows: { right: boolean }[] };
    expect(rows.map(({ right }) => right)).toEqual([true, false]);
  });

  it('serves the images of a run as images', async () => {
    const { rows } = (await json(`/api/runs/${ids.first}/evaluations/50`)) as { rows: { image: string | null }[] };
    expect(rows[1]?.image).toBeNull();
    const response = await get(`/api/runs/${ids.first}/media/${rows[0]?.image}`);
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(Buffer.from(await response.arrayBuffer()).equals(PIXEL)).toBe(true);
  });

  it('finds nothing outside the runs', async () => {
    await writeFile(join(root, 'secret.png'), PIXEL);
    await symlink(join(root, 'secret.png'), join(root, 'first', 'media', '0123456789abcdef.png'));
    const paths = [
      `/api/runs/${ids.first}/media/0123456789abcdef.png`,
      `/api/runs/${ids.first}/media/..%2Frun.json`,
      `/api/runs/${ids.first}/media/..%2F..%2Fsecret.png`,
      '/api/runs/..%2Ffirst',
      '/api/runs/__proto__',
      '/..%2Fpackage.json',
      '/%2e%2e/%2e%2e/package.json',
    ];
    for (const path of paths) expect([path, (await get(path)).status]).toEqual([path, 404]);
  });
});

describe('changing', () => {
  it('changes tags and notes, also when the run is written again', async () => {
    const path = `/api/runs/${ids.second}`;
    expect((await change('PATCH', path, { notes: 'better', tags: ['a', 'b'] })).status).toBe(200);
    expect((await change('PATCH', path, { tags: ['c'] })).status).toBe(200);
    const run = await createRun({
      folder: join(root, 'second'),
      resume: 50,
      captureConsole: false,
      systemEverySeconds: 0,
    });
    await run.finish();
    expect((await list()).find(({ name }) => name === 'second')).toMatchObject({ notes: 'better', tags: ['c'] });
  });

  it('takes no body that no tags and notes could fill', async () => {
    const large = await change('PATCH', `/api/runs/${ids.second}`, { notes: 'x'.repeat(2 ** 21) });
    expect(large.status).toBe(413);
  });

  it('keeps both of two changes that come at once', async () => {
    const path = `/api/runs/${ids.first}`;
    const notes = 'n'.repeat(20_000);
    for (let round = 0; round < 20; round++) {
      const changes = [{ notes }, { tags: [`t${round}`] }].map((body) => change('PATCH', path, body));
      expect((await Promise.all(changes)).map(({ status }) => status)).toEqual([200, 200]);
      expect((await list()).find(({ name }) => name === 'first')).toMatchObject({ notes, tags: [`t${round}`] });
    }
  });

  it('refuses what is no tag or note', async () => {
    for (const body of [{ name: 'x' }, { tags: 'a' }, { tags: [''] }, { notes: 7 }, []])
      expect((await change('PATCH', `/api/runs/${ids.second}`, body)).status).toBe(400);
  });

  it('deletes the records and leaves what else lies in the folder', async () => {
    expect((await change('DELETE', `/api/runs/${ids.third}`, undefined)).status).toBe(200);
    expect((await list()).map(({ name }) => name)).not.toContain('third');
    expect(await readdir(join(root, 'third'))).toEqual(['pixel.png']);
    expect((await change('DELETE', `/api/runs/${ids.third}`, undefined)).status).toBe(404);
  });

  it('does not delete a run that is being written', async () => {
    const run = await createRun({ folder: join(root, 'busy'), captureConsole: false, systemEverySeconds: 0 });
    const response = await change('DELETE', `/api/runs/${run.record.id}`, undefined);
    expect(response.status).toBe(409);
    expect(((await response.json()) as { error: string }).error).toMatch(/still being written/);
    await run.finish();
  });

  it('does not delete a run that was taken up again since the runs were listed', async () => {
    const folder = join(root, 'resumed');
    const options = { folder, captureConsole: false, systemEverySeconds: 0 };
    await (await createRun(options)).finish();
    const slow = createApp({ root, access: { host: '127.0.0.1' }, intervalMs: 60_000 });
    const ask = (method: string, path: string) =>
      slow.fetch(
        new Request(`${ORIGIN}${path}`, {
          method,
          headers: { host: '127.0.0.1:6360', origin: ORIGIN, 'content-type': 'application/json' },
        }),
      );
    await ask('GET', '/api/runs');
    const run = await createRun({ ...options, resume: 0 });
    expect((await ask('DELETE', `/api/runs/${run.record.id}`)).status).toBe(409);
    await run.finish();
    await rm(folder, { recursive: true });
  });

  it('takes changes from its own page alone, as JSON alone', async () => {
    const path = `/api/runs/${ids.second}`;
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await change('PATCH', path, { notes: 'forged' }, headers)).status;
    expect(await status({ origin: 'http://evil.example' })).toBe(403);
    expect(await status({ origin: 'null' })).toBe(403);
    expect(await status({ origin: 'http://127.0.0.1:6361' })).toBe(403);
    expect(await status({ 'content-type': 'text/plain' })).toBe(415);
    expect((await change('DELETE', path, undefined, { origin: 'http://evil.example' })).status).toBe(403);
    expect((await list()).find(({ name }) => name === 'second')?.notes).toBe('better');
  });
});

describe('access', () => {
  it('answers no other host name', async () => {
    for (const host of ['evil.example', 'evil.example:6360', '127.0.0.1.evil.example', '192.168.0.7'])
      expect([host, (await get('/api/runs', { host })).status]).toEqual([host, 403]);
    for (const host of ['localhost:6360', '127.0.0.1:6360', '[::1]:6360'])
      expect([host, (await get('/api/runs', { host })).status]).toEqual([host, 200]);
  });

  it('asks for the token, and takes it from the address once, as a cookie or as a header', async () => {
    const access = { host: '0.0.0.0', token: 'correct-horse' };
    const host = '192.168.0.7:6360';
    expect((await get('/api/runs', { host }, access)).status).toBe(401);
    expect((await get('/', { host }, access)).status).toBe(401);
    expect((await get('/?token=wrong-horse', { host }, access)).status).toBe(401);
    expect((await get('/api/runs', { host, authorization: 'Bearer correct-horse' }, access)).status).toBe(200);
    const entry = await get('/?token=correct-horse', { host }, access);
    expect([entry.status, entry.headers.get('location')]).toEqual([302, './']);
    const cookie = entry.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/HttpOnly/);
    expect(cookie).toMatch(/SameSite=Strict/);
    expect((await get('/api/runs', { host, cookie: cookie.split(';')[0]! }, access)).status).toBe(200);
  });

  it('sends a strict policy with every answer, and no inline code in the page', async () => {
    for (const path of ['/', '/main.js', '/api/runs', '/nothing']) {
      const policy = (await get(path)).headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|https?:|\*/);
    }
    const page = await (await get('/')).text();
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|https?:/);
  });
});
