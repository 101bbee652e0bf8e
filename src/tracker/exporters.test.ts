// The exporters at work: the SwanLab directory, the cloud client against a server on this machine, TensorBoard's files.
// That SwanLab's and TensorBoard's own readers take them is shown by reference/swanlab_check.py and tensorboard_check.py.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { exportRun } from './export/export_run.ts';
import { EXPORTERS } from './exporters/index.ts';
import { openRun, readMeta } from './reader.ts';
import { createRun, type RunOptions } from './run.ts';

const image = fileURLToPath(new URL('../../test/golden/processor/images/rgb.png', import.meta.url));
const rows = [{ image, truth: 'a', prediction: 'b', metrics: { exact_match: 0 } }];

let home: string;
let words = '';
const at = (...parts: string[]): string => join(home, ...parts);
const record = (folder: string, options: Partial<RunOptions>) =>
  createRun({ folder: at(folder), captureConsole: false, systemEverySeconds: 0, config: { lr: 1e-7 }, ...options });

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'texlens-exporters-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));
beforeEach(() => {
  words = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    words += String(text);
    return true;
  });
  for (const name of ['API_KEY', 'API_HOST', 'WEB_HOST', 'LOGDIR', 'WORKSPACE', 'PROJ_NAME', 'EXP_NAME'])
    vi.stubEnv(`SWANLAB_${name}`, undefined);
  vi.stubEnv('HOME', home);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

it('every exporter has its line in the map', async () => {
  const files = await readdir(new URL('./exporters/', import.meta.url));
  const names = files.filter((file) => file !== 'index.ts').map((file) => file.replace('.ts', '').replaceAll('_', '-'));
  expect(names.sort()).toEqual(Object.keys(EXPORTERS).sort());
});

describe('a SwanLab directory', () => {
  it('holds the whole run, and again all of it after a resume', async () => {
    const run = await record('local', { exporters: ['swanlab'], name: 'n' });
    for (let step = 1; step <= 3; step++) run.log({ 'train/loss': step }, step);
    await run.evaluation({ step: 3, metrics: { loss: 1 }, rows });
    await run.finish({ error: new Error('stopped') });
    const first = run.record.exports.swanlab as string;
    expect(words).toContain(`swanlab sync ${first}`);
    expect(first).toMatch(new RegExp(`swanlog/run-\\d{8}_\\d{6}-${run.record.id}$`));
    expect(await readFile(at('local', 'swanlog', '.gitignore'), 'utf8')).toBe('*');
    expect((await readdir(first)).sort()).toEqual(['debug', 'files', 'media', `run-${run.record.id}.swanlab`]);
    expect(parse(await readFile(join(first, 'files', 'config.yaml'), 'utf8'))).toEqual({
      lr: { value: 1e-7, desc: '', sort: 0 },
    });
    const [media] = await readdir(join(first, 'media', 'image'));
    expect(media).toMatch(/^003-[0-9a-f]{8}\.png$/);
    expect(await readFile(join(first, 'media', 'image', media as string))).toEqual(await readFile(image));

    const again = await record('local', { exporters: ['swanlab'], resume: 2 });
    again.log({ 'train/loss': 30 }, 3);
    await again.finish();
    const second = again.record.exports.swanlab as string;
    expect(second).not.toBe(first);
    const bytes = (folder: string) => readFile(join(folder, `run-${run.record.id}.swanlab`));
    const count = (text: Buffer, word: string) => text.toString('latin1').split(word).length - 1;
    // Steps 1 and 2 out of the store, step 3 anew; the evaluation at 3 was lost with the process.
    expect(count(await bytes(second), 'train/loss')).toBe(3);
    expect(count(await bytes(first), 'eval/predictions')).toBe(1);
    expect(count(await bytes(second), 'eval/predictions')).toBe(0);
  });

  it('goes where the flag or the environment says', async () => {
    const run = await record('elsewhere', { exporters: ['swanlab'], exportSettings: { swanlabLogdir: at('logs') } });
    await run.finish();
    expect(run.record.exports.swanlab).toContain(at('logs', 'run-'));
  });
});

describe('TensorBoard files', () => {
  it('put images apart, and are replaced when the run is exported again', async () => {
    const run = await record('board', { exporters: ['tensorboard'] });
    run.log({ 'train/loss': 0 }, 1);
    await run.evaluation({ step: 1, metrics: { loss: 1 }, rows });
    await run.finish();
    await writeFile(at('board', 'tensorboard', 'events.out.tfevents.1.other'), 'of someone else');
    await exportRun(at('board'), 'tensorboard', {});
    const events = (...parts: string[]) =>
      readdir(at('board', 'tensorboard', ...parts)).then((all) => all.filter((name) => name.startsWith('events.')));
    expect(await events()).toEqual(['events.out.tfevents.1.other', expect.stringMatching(/\.texlens$/)]);
    const [pictures] = await events('images');
    const png = await readFile(image);
    expect((await readFile(at('board', 'tensorboard', 'images', pictures as string))).includes(png)).toBe(true);
  });
});

describe('SwanLab’s server', () => {
  interface Call {
    method: string;
    path: string;
    body: Record<string, unknown>;
  }
  let server: Server;
  let host: string;
  let calls: Call[] = [];
  let files: Map<string, Buffer>;
  let known: boolean;
  let busy: number;
  let held: Record<string, unknown>;

  const answer = (call: Call, request: IncomingMessage): [status: number, body: unknown] => {
    const { method, path } = call;
    if (path === '/api/login/api_key')
      return request.headers.authorization === 'good-key'
        ? [200, { sid: 's', expiredAt: '2099-01-01T00:00:00.000Z', userInfo: { username: 'me' } }]
        : [401, {}];
    if (path.startsWith('/upload/')) return [200, {}];
    if (request.headers.cookie !== 'sid=s') return [401, {}];
    if (path === '/api/house/metrics' && busy-- > 0) return [503, {}];
    if (method === 'GET' && path === '/api/project/me/p')
      return calls.some(({ path: asked }) => asked === '/api/projects/me') || known
        ? [200, { cuid: 'P', name: 'p', path: '/@me/p', version: 1, group: { username: 'me' } }]
        : [404, {}];
    if (path === '/api/project/me/p/experiment')
      return [known ? 200 : 201, { cuid: call.body.cuid, slug: '', createdAt: '2026-01-01T00:00:00.000Z' }];
    if (path.startsWith('/api/house/metrics/summaries/P/')) return [200, held];
    if (path === '/api/resources/presigned/put')
      return [200, { urls: (call.body.paths as string[]).map((name) => `${host}/upload/${name}`) }];
    return [200, {}];
  };

  beforeEach(async () => {
    [calls, files, known, busy, held] = [[], new Map(), false, 0, {}];
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const path = (request.url as string).replace(/\?.*/, '');
        const body = Buffer.concat(chunks);
        if (path.startsWith('/upload/')) files.set(path.slice('/upload/'.length), body);
        const json = request.headers['content-type'] === 'application/json' && body.length > 0;
        const call = { method: request.method as string, path, body: json ? JSON.parse(body.toString()) : {} } as Call;
        const [status, data] = answer(call, request);
        if (status < 500) calls.push(call);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(data));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const metrics = (type: string): Record<string, unknown>[] =>
    calls.flatMap(({ path, body }) =>
      path === '/api/house/metrics' && body.type === type ? (body.metrics as Record<string, unknown>[]) : [],
    );
  const options = (key = 'good-key'): Partial<RunOptions> => ({
    project: 'p',
    exporters: ['swanlab-cloud'],
    exportSettings: { swanlabKey: key, swanlabHost: host },
  });

  it('gets everything once, though it is busy at first', async () => {
    busy = 1;
    const run = await record('sent', { ...options(), tags: ['t'], captureConsole: true, systemEverySeconds: 10 });
    for (let step = 1; step <= 5; step++) run.log({ 'train/loss': step === 2 ? Number.NaN : step / 3 }, step);
    process.stderr.write('a line\n');
    await run.evaluation({ step: 5, metrics: { loss: 1 }, rows });
    await new Promise((wait) => setTimeout(wait, 400));
    await run.finish({ summary: { train_loss: 0.5 } });
    expect(words).toContain(`the run at SwanLab: ${host}/@me/p/runs/${run.record.id}`);
    const page = (await readMeta(at('sent')))?.exports['swanlab-cloud'];
    expect(page).toBe(`${host}/@me/p/runs/${run.record.id}`);

    const losses = metrics('scalar').filter(({ key }) => key === 'train/loss');
    expect(losses.map(({ index, data }) => [index, data])).toEqual([
      [1, 1 / 3],
      [2, 'nan'],
      [3, 1],
      [4, 4 / 3],
      [5, 5 / 3],
    ]);
    expect(metrics('scalar')).toContainEqual(expect.objectContaining({ key: 'single_value/train_loss', data: 0.5 }));
    expect(metrics('scalar')).toContainEqual(expect.objectContaining({ key: '__swanlab__.mem.pct', index: 0 }));
    expect(metrics('log')).toContainEqual(expect.objectContaining({ level: 'INFO', epoch: 1, message: 'a line' }));
    const [media] = metrics('media') as { key: string; data: string[]; more: unknown[] }[];
    expect(media).toMatchObject({ key: 'eval/predictions', index: 5, more: [{ caption: 'prediction: b\ntruth: a' }] });
    expect(files.get(media?.data[0] as string)).toEqual(await readFile(image));
    const columns = calls.filter(({ path }) => path.endsWith('/series')).flatMap(({ body }) => body.series);
    expect(columns).toContainEqual({ key: 'train/loss', type: 'FLOAT', sectionName: 'train' });
    expect(columns).toContainEqual({ key: '__swanlab__.mem.pct', type: 'SYSTEM' });
    expect(columns).toContainEqual({ key: 'eval/predictions', type: 'IMAGE', sectionName: 'eval' });
    const find = (end: string) => calls.find(({ path }) => path.endsWith(end))?.body;
    expect(find('/experiment')).toMatchObject({ cuid: run.record.id, name: 'sent', labels: [{ name: 't' }] });
    expect(find('/projects/me')).toEqual({ name: 'p', visibility: 'PRIVATE' });
    expect(find('/state')).toMatchObject({ state: 'FINISHED', from: 'sdk' });
    expect(calls.filter(({ path }) => path.endsWith('/heartbeat'))).toHaveLength(1);
    expect(calls.find(({ body }) => 'config' in body)?.body).toEqual({
      config: { lr: { value: 1e-7, desc: '', sort: 0 } },
    });
  });

  it('is sent only what it lacks when a run is resumed or exported', async () => {
    const run = await record('lacking', {});
    for (let step = 1; step <= 6; step++) run.log({ 'train/loss': step }, step);
    await run.finish();
    known = true;
    held = { scalar: [{ key: 'train/loss', step: 4 }], media: [], log: [] };
    await exportRun(at('lacking'), 'swanlab-cloud', options().exportSettings ?? {});
    const sent = () =>
      metrics('scalar')
        .filter(({ key }) => key === 'train/loss')
        .map(({ index }) => index);
    // The project's name is the store's: made by its own options.
    expect(calls.some(({ path }) => path.includes('/project/me/texlens'))).toBe(true);
    calls = [];
    const again = await record('lacking', { ...options(), resume: 3 });
    again.log({ 'train/loss': 4 }, 4);
    again.log({ 'train/loss': 50 }, 5);
    await again.finish();
    expect(sent()).toEqual([5]);
  });

  it('that refuses the key, or is not there, ends nothing', async () => {
    const refused = await record('refused', options('bad-key'));
    refused.log({ loss: 1 }, 1);
    await new Promise((wait) => setTimeout(wait, 600));
    await refused.finish();
    expect(words.match(/the API key was refused/g)?.length).toBeGreaterThanOrEqual(1);
    expect(words).toContain('texlens runs export');
    expect(words).not.toContain('bad-key');

    words = '';
    const nobody = { ...options(), exportSettings: { swanlabKey: 'good-key', swanlabHost: 'http://127.0.0.1:9' } };
    const alone = await record('alone', nobody);
    alone.log({ loss: 1 }, 1);
    await new Promise((wait) => setTimeout(wait, 600));
    await alone.finish();
    expect(words.match(/swanlab-cloud: http:\/\/127.0.0.1:9 cannot be reached/g)).toHaveLength(1);
    expect((await openRun(at('alone'))).series(['loss']).series[0]?.values).toEqual([1]);

    words = '';
    const keyless = await record('keyless', { ...options(), exportSettings: {} });
    keyless.log({ loss: 1 }, 1);
    await keyless.finish();
    expect(words).toContain('no API key: give --swanlab-key');
    expect((await openRun(at('keyless'))).meta.status).toBe('finished');
  });

  it('is found through SwanLab’s own netrc', async () => {
    const { mkdir } = await import('node:fs/promises');
    await mkdir(at('.swanlab'), { recursive: true });
    await writeFile(at('.swanlab', '.netrc'), `machine ${host}/api\n\tlogin http://web.example\n\tpassword good-key\n`);
    const run = await record('netrc', { ...options(), exportSettings: {} });
    await run.finish();
    expect(words).toContain(`the run at SwanLab: http://web.example/@me/p/runs/${run.record.id}`);
  });
});
