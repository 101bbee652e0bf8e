// What goes wrong on the way: retries, waits, redirects and tokens, refusals, wrong bytes, mirrors and proxies.
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { startProxy } from '../../test/hub/proxy.ts';
import { hubScene } from '../../test/hub/scene.ts';
import { HubServer, MODEL_FILES, modelFiles, type Seen } from '../../test/hub/server.ts';
import { InputError, RunError } from '../shared/errors.ts';
import { type FetchOptions, type FetchResult, fetchModel } from './fetch.ts';
import { listRepo } from './listing.ts';
import { proxyFor } from './proxy.ts';

const scene = hubScene();
const ID = 'Qwen/Tiny-VL';
const FILES = modelFiles();
const WEIGHTS = 'model-00001-of-00002.safetensors';
const HF = `hf:${ID}`;
const MS = `modelscope:${ID}`;

const fetching = (name: string, { env, ...options }: FetchOptions = {}): Promise<FetchResult> =>
  fetchModel(name, {
    env: { ...scene.server.env(scene.home), ...env },
    backoffMs: 1,
    progress: () => {},
    out: join(scene.home, 'model'),
    ...options,
  });

async function expectWhole(): Promise<void> {
  const folder = join(scene.home, 'model');
  for (const name of MODEL_FILES)
    expect((await readFile(join(folder, name))).equals(Buffer.from(FILES[name]!))).toBe(true);
  expect((await readdir(folder)).length).toBe(MODEL_FILES.length);
}

/** A fault for the first `times` requests that match. */
function first(
  times: number,
  match: (seen: Seen) => boolean,
  fault: ReturnType<HubServer['fault']>,
): HubServer['fault'] {
  let left = times;
  return (seen) => (match(seen) && left-- > 0 ? fault : undefined);
}
const ofWeights = (seen: Seen): boolean => seen.file === WEIGHTS && seen.host === 'storage';
const isApi = (seen: Seen): boolean => seen.file === undefined;

beforeEach(() => scene.server.add({ kind: 'model', id: ID, files: FILES }));

describe('passing failures are tried again', () => {
  it.each([
    ['a list that answers 500', 2, isApi, { status: 500 }],
    ['a list that answers 503', 1, isApi, { status: 503, headers: { 'retry-after': '0' } }],
    ['a list that is cut', 1, isApi, { status: 200, headers: { 'content-length': '100' }, body: '[' }],
    ['a file that answers 502', 3, ofWeights, { status: 502 }],
    ['connections cut in the middle', 5, ofWeights, { cutAfter: 50_000 }],
    ['connections cut at once', 3, ofWeights, { cutAfter: 0 }],
    ['a signed address that ran out', 2, ofWeights, { status: 403 }],
    ['silence', 1, ofWeights, { silent: true }],
    ['another range than asked', 2, ofWeights, { replace: { 'content-range': 'bytes 1-2/600000' } }],
    ['no range told', 2, ofWeights, { drop: ['content-range'] }],
    ['wrong bytes', 2, ofWeights, { corrupt: true }],
    [
      'another tag in the middle',
      1,
      (seen: Seen) => ofWeights(seen) && !seen.range?.includes('=0-'),
      { replace: { etag: '"x"' } },
    ],
  ])('%s', async (_what, times, match, fault) => {
    for (const name of [HF, MS]) {
      let met = 0;
      scene.server.fault = first(times, (seen) => match(seen) && ++met > 0, fault);
      await rm(join(scene.home, 'model'), { recursive: true, force: true });
      await fetching(name, { silenceMs: 300 });
      await expectWhole();
      expect(met).toBeGreaterThanOrEqual(times);
    }
  });

  it('keeps what came before a cut', async () => {
    scene.server.fault = first(4, ofWeights, { cutAfter: 100_000 });
    const { downloaded, bytes } = await fetching(MS);
    await expectWhole();
    expect(downloaded).toBe(bytes);
  });

  it('gives up in the end, names every file that failed, and keeps the others', async () => {
    scene.server.fault = ({ file }) => (file === WEIGHTS || file === 'vocab.json' ? { status: 500 } : undefined);
    const failed = fetching(MS);
    await expect(failed).rejects.toThrow(RunError);
    await expect(failed).rejects.toThrow(/2 of 11 files failed.*\n {2}vocab.json: .*500.*\n {2}model-00001-of-00002/);
    scene.server.fault = () => undefined;
    scene.server.served = 0;
    await fetching(MS);
    await expectWhole();
    expect(scene.server.served).toBe(600_002);
  });

  it('tries wrong bytes three times and says which sums', async () => {
    scene.server.fault = (seen) => (seen.file === 'vocab.json' ? { corrupt: true } : undefined);
    await expect(fetching(HF)).rejects.toThrow(
      /vocab.json: the content's git sha1 is \w{40}, the hub says 9e26dfee\w+, 3 times/,
    );
    expect(scene.server.seen.filter(({ file }) => file === 'vocab.json').length).toBe(3);
    expect(await readdir(join(scene.home, 'model'))).not.toContain('vocab.json');
  });
});

describe('waits', () => {
  const times: number[] = [];
  const once429 = (headers: Record<string, string>): HubServer['fault'] => {
    times.length = 0;
    return (seen) => {
      if (seen.host === 'storage') return undefined;
      times.push(performance.now());
      return times.length === 1 ? { status: 429, headers } : undefined;
    };
  };

  it.each([
    ['Retry-After in seconds', () => ({ 'retry-after': '1' })],
    // A date has whole seconds: two of them are at least one.
    ['Retry-After as a date', () => ({ 'retry-after': new Date(Date.now() + 2000).toUTCString() })],
    ['RateLimit', () => ({ ratelimit: '"resolvers";r=0;t=1' })],
  ])('%s is honoured', async (_name, headers) => {
    scene.server.fault = once429(headers());
    await fetching(HF);
    expect(times[1]! - times[0]!).toBeGreaterThan(900);
    await expectWhole();
  });

  it('holds back every connection, not only the one that was told', async () => {
    let told = 0;
    let early = 0;
    scene.server.fault = (seen) => {
      if (seen.host !== 'hub' || seen.file === undefined) return undefined;
      if (told === 0) {
        told = performance.now();
        return { status: 429, headers: { 'retry-after': '1' } };
      }
      if (performance.now() - told < 900) early++;
      return undefined;
    };
    await fetching(HF, { connections: 2 });
    // One request may have been under way on the other connection, and another just after it.
    expect(early).toBeLessThanOrEqual(2);
    await expectWhole();
  });

  it('tells a wait that is too long instead of sitting through it', async () => {
    scene.server.fault = first(1, isApi, { status: 429, headers: { 'retry-after': '3600' } });
    await expect(fetching(HF)).rejects.toThrow(/429 \(too many requests\) and asks to wait 60 minutes/);
  });
});

describe('refusals say what to do', () => {
  it.each([
    [
      HF,
      'a missing repository',
      undefined,
      { id: 'a/b', files: FILES },
      /no such repository; if it is private, set HF_TOKEN or give --token/,
    ],
    [
      MS,
      'a missing repository',
      undefined,
      { id: 'a/b', files: FILES },
      /no such repository.*check the spelling, and if it is private, set MODELSCOPE_API_TOKEN/,
    ],
    [
      HF,
      'a private one',
      'wrong',
      { id: ID, files: FILES, token: 'right' },
      /check that the token in HF_TOKEN or --token is valid/,
    ],
    [
      MS,
      'a private one',
      undefined,
      { id: ID, files: FILES, token: 'right' },
      /refuses access; if it is private, set MODELSCOPE_API_TOKEN/,
    ],
    [
      HF,
      'a gated one',
      'wrong',
      { id: ID, files: FILES, token: 'right', gated: true },
      /grants access on request: ask for it on http.*Qwen\/Tiny-VL/,
    ],
  ])('%s: %s', async (name, _what, token, repo, message) => {
    scene.server.reset();
    scene.server.add({ kind: 'model', ...repo });
    const failed = fetching(name, { token });
    await expect(failed).rejects.toThrow(InputError);
    await expect(failed).rejects.toThrow(message);
  });

  it('a body that says so under a status of 200', async () => {
    const body = JSON.stringify({ Code: 10010205001, Success: false, Message: 'Record not found' });
    scene.server.fault = first(1, isApi, { status: 200, body });
    await expect(fetching(MS)).rejects.toThrow(/no such repository, revision or file/);
  });

  it('a page that is no answer of a hub', async () => {
    scene.server.fault = () => ({ status: 200, body: '<html>Please log in to the network</html>' });
    await expect(fetching(HF)).rejects.toThrow(
      /expected JSON, got "<html>Please log in.*check the endpoint and the proxy/,
    );
  });

  it('a host that does not exist', async () => {
    await expect(fetching(HF, { env: { HF_ENDPOINT: 'http://hub.invalid' } })).rejects.toThrow(
      /no such host, or no network|hub.invalid/,
    );
    await expect(fetching(HF, { env: { HF_ENDPOINT: 'hf-mirror.com' } })).rejects.toThrow(
      /HF_ENDPOINT=hf-mirror.com: expected an address/,
    );
  });
});

describe('tokens', () => {
  it.each([
    [HF, { HF_TOKEN: 'secret' }],
    [MS, { MODELSCOPE_API_TOKEN: 'secret' }],
  ])('%s: reach the hub and never its storage', async (name, env) => {
    scene.server.add({ kind: 'model', id: ID, files: FILES, token: 'secret' });
    await fetching(name, { env });
    await expectWhole();
    const { seen } = scene.server;
    const shows = ({ headers }: Seen): boolean => /secret/.test(JSON.stringify(headers));
    expect(seen.filter(({ host }) => host === 'storage').length).toBeGreaterThan(1);
    expect(seen.filter(({ host }) => host === 'storage').filter(shows)).toEqual([]);
    expect(seen.filter(({ host }) => host === 'hub').every(shows)).toBe(true);
  });

  it('are refused before they could break a header', async () => {
    await expect(fetching(HF, { token: 'a\r\nx: y' })).rejects.toThrow(/holds blanks or control characters/);
  });

  it('do not follow to the other ModelScope, which is asked when the first has no such model', async () => {
    const other = await HubServer.start();
    try {
      scene.server.reset();
      other.add({ kind: 'model', id: ID, files: FILES });
      const repo = { hub: 'modelscope', id: ID } as const;
      const { endpoint } = scene.server;
      const settings = { endpoint, fallback: other.endpoint, token: 'secret', cache: scene.home, offline: false };
      const { files } = await listRepo(repo, 'model', settings, { env: {} });
      expect(files.length).toBe(Object.keys(FILES).length);
      expect(other.seen.map(({ headers }) => headers.authorization ?? headers.cookie)).toEqual([undefined]);
      other.reset();
      await expect(listRepo(repo, 'model', settings, { env: {} })).rejects.toThrow(new URL(endpoint).host);
    } finally {
      await other.close();
    }
  });
});

describe('mirrors', () => {
  it('may drop their headers and know no ranges', async () => {
    scene.server.fault = (seen) => (isApi(seen) ? undefined : { ignoreRange: true, drop: ['etag', 'accept-ranges'] });
    for (const name of [HF, MS]) {
      await rm(join(scene.home, 'model'), { recursive: true, force: true });
      await fetching(name);
      await expectWhole();
    }
  });

  it('must not compress what is asked for plain', async () => {
    scene.server.fault = (seen) =>
      seen.file === 'vocab.json' ? { replace: { 'content-encoding': 'gzip' } } : undefined;
    await expect(fetching(MS)).rejects.toThrow(/vocab.json: .*gzip-compressed/);
  });

  it('must not redirect in a circle', async () => {
    scene.server.fault = (seen) => (isApi(seen) ? { status: 302, headers: { location: seen.url } } : undefined);
    await expect(fetching(MS)).rejects.toThrow(/more than 10 redirects/);
  });
});

describe('proxies', () => {
  it.each([undefined, 'name:password'])('carry every request, with password %s', async (password) => {
    const proxy = await startProxy(password);
    try {
      await fetching(HF, { env: { HTTP_PROXY: proxy.address } });
      await expectWhole();
      expect(proxy.asked.length).toBe(scene.server.seen.length);
      expect(proxy.asked[0]).toBe(`GET ${scene.server.endpoint}/api/models/Qwen/Tiny-VL/revision/main`);
      const before = proxy.asked.length;
      await fetching(HF, { env: { HTTP_PROXY: proxy.address, NO_PROXY: '127.0.0.1' } });
      expect(proxy.asked.length).toBe(before);
    } finally {
      await proxy.close();
    }
  });

  it('are told apart from the hub when they want a password', async () => {
    const proxy = await startProxy('name:password');
    try {
      const address = proxy.address.replace('name:password@', '');
      await expect(fetching(HF, { env: { HTTP_PROXY: address } })).rejects.toThrow(
        /the proxy wants a name and a password/,
      );
      const secure = { HTTPS_PROXY: address, HF_ENDPOINT: 'https://hub.invalid' };
      await expect(fetching(HF, { env: secure })).rejects.toThrow(/the proxy wants a name and a password/);
      expect(proxy.asked.at(-1)).toBe('CONNECT hub.invalid:443');
    } finally {
      await proxy.close();
    }
  });

  it.each([
    ['https://huggingface.co', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1'],
    ['https://huggingface.co', { HTTP_PROXY: 'http://p:1' }, undefined],
    ['http://huggingface.co', { HTTP_PROXY: 'p:1' }, 'http://p:1'],
    ['https://huggingface.co', { HTTPS_PROXY: 'http://p:1', https_proxy: 'http://q:1' }, 'http://q:1'],
    ['https://huggingface.co', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'localhost, huggingface.co' }, undefined],
    ['https://cdn.huggingface.co', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'huggingface.co' }, undefined],
    ['https://cdn.huggingface.co', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '.huggingface.co:443' }, undefined],
    ['https://huggingface.co:8443', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'huggingface.co:443' }, 'http://p:1'],
    ['https://nothuggingface.co', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'huggingface.co' }, 'http://p:1'],
    ['https://huggingface.co', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, undefined],
  ])('%s with %j', (url, env, expected) => {
    expect(proxyFor(new URL(url), env)).toBe(expected);
  });
});

it('stops at once when told to, and leaves what is there', async () => {
  const controller = new AbortController();
  scene.server.fault = (seen) => (ofWeights(seen) ? { slowMs: 20 } : undefined);
  scene.server.onServe = () => {
    if (scene.server.served > 300_000) controller.abort();
  };
  const cut = fetching(MS, { signal: controller.signal });
  await expect(cut).rejects.toThrow(/abort/i);
  scene.server.fault = () => undefined;
  scene.server.onServe = vi.fn();
  await fetching(MS);
  await expectWhole();
});
