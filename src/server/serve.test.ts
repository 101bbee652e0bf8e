// Where the server listens, and where it must not.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve } from './serve.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'texlens-serve-'));
});
afterAll(() => rm(root, { recursive: true }));

describe('serve', () => {
  it.each(['0.0.0.0', '::', '192.168.0.7', 'example.org'])('refuses %s without a token', async (host) => {
    await expect(serve({ root, host, port: 0 })).rejects.toThrow(/--token/);
  });

  it('refuses a token that is short or does not fit an address', async () => {
    for (const token of ['short', 'white space here', 'a&b=cdefgh'])
      await expect(serve({ root, host: '127.0.0.1', port: 0, token })).rejects.toThrow(/--token: expected/);
  });

  it('serves an empty folder, also one that is not there yet', async () => {
    const served = await serve({ root: join(root, 'later'), host: '127.0.0.1', port: 0 });
    const answer = await fetch(`${served.url}api/runs`);
    expect(await answer.json()).toMatchObject({ runs: [], damaged: [] });
    await served.close();
  });

  it('says that a port is taken, and moves on from the default one', async () => {
    const first = await serve({ root, host: '127.0.0.1' });
    const second = await serve({ root, host: '127.0.0.1' });
    expect(second.url).not.toBe(first.url);
    const port = Number(new URL(first.url).port);
    await expect(serve({ root, host: '127.0.0.1', port })).rejects.toThrow(`--port ${port}: another program`);
    await first.close();
    await second.close();
  });

  it('tells of news on an event stream', async () => {
    const served = await serve({ root, host: '127.0.0.1', port: 0, intervalMs: 20 });
    const answer = await fetch(`${served.url}api/live`);
    const { value } = await answer.body!.getReader().read();
    expect(new TextDecoder().decode(value)).toMatch(/^event: versions\ndata: \{"list":\d+,"runs":\{\}\}/);
    await served.close();
  });
});
