// What the command line prints and returns about hubs, by http and by https through a proxy.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { FetchResult } from '../../src/hub/fetch.ts';
import { createModel, SMALL } from '../../src/models/qwen2_vl/create.ts';
import { expectModel, FILES, ID, type Outcome, start, TOTAL } from './child.ts';
import { startProxy } from './proxy.ts';
import { hubScene } from './scene.ts';
import { HubServer, MODEL_FILES } from './server.ts';

describe('the command line', () => {
  const scene = hubScene();

  it('prints one JSON object, last on stdout', async () => {
    scene.server.add({ kind: 'model', id: ID, files: FILES });
    const args = ['fetch', `modelscope:${ID}`, '--cache-dir', scene.home, '--json'];
    const { code, out, err } = await start(args, scene.server.env(scene.home)).outcome;
    expect(code, err).toBe(0);
    const { seconds, ...rest } = JSON.parse(out) as FetchResult;
    const folder = join(scene.home, ID);
    expect(rest).toEqual({ folder, files: MODEL_FILES.length, bytes: TOTAL, downloaded: TOTAL });
    expect(seconds).toBeGreaterThan(0);
    expect(err).toContain(folder);
  });

  it('exits 2 on what the user can mend and 1 on what failed', async () => {
    const env = scene.server.env(scene.home);
    const missing = await start(['fetch', `hf:${ID}`, '--json'], env).outcome;
    expect(missing.code).toBe(2);
    expect(JSON.parse(missing.out).error.message).toMatch(/no such repository; if it is private, set HF_TOKEN/);
    scene.server.add({ kind: 'model', id: ID, files: FILES });
    scene.server.fault = ({ file }) => (file === 'vocab.json' ? { corrupt: true } : undefined);
    const failed = await start(['fetch', `hf:${ID}`], env).outcome;
    expect(failed.code).toBe(1);
    expect(failed.err).toMatch(/1 of 11 files failed; .*\n {2}vocab.json: the content's git sha1/);
  });

  it('reaches a hub by https through a tunnel, and never leaves https', async () => {
    const hub = await HubServer.start({ secure: true });
    const proxy = await startProxy('name:password');
    try {
      hub.add({ kind: 'model', id: ID, files: FILES });
      const trust = { NODE_EXTRA_CA_CERTS: fileURLToPath(new URL('./tls/cert.pem', import.meta.url)) };
      const env = { ...hub.env(scene.home), HTTPS_PROXY: proxy.address };
      const distrusted = await start(['fetch', `hf:${ID}`], env).outcome;
      expect(distrusted.err).toMatch(/its certificate is not trusted .*; set NODE_EXTRA_CA_CERTS/);
      const { code, out, err } = await start(['fetch', `hf:${ID}`, '--json'], { ...env, ...trust }).outcome;
      expect(code, err).toBe(0);
      await expectModel((JSON.parse(out) as FetchResult).folder);
      const hosts = [hub.endpoint, hub.storage].map((address) => `CONNECT ${new URL(address).host}`);
      expect([...new Set(proxy.asked)].sort()).toEqual(hosts.sort());
      hub.fault = () => ({ status: 302, headers: { location: `${scene.server.endpoint}/x` } });
      const lured = await start(['fetch', `hf:${ID}`], { ...env, ...trust }).outcome;
      expect(lured.err).toMatch(/redirects to http:.*; expected an address as safe as its own/);
      expect([lured.code, scene.server.seen]).toEqual([1, []]);
    } finally {
      await proxy.close();
      await hub.close();
    }
  });

  it('fetches a model on its first use, and reads an image offline after that', async () => {
    const made = join(scene.home, 'made');
    const tiny = {
      ...SMALL,
      hidden: 64,
      heads: 2,
      kvHeads: 2,
      intermediate: 64,
      layers: 1,
      visionWidth: 64,
      visionDepth: 1,
      visionHeads: 2,
    };
    await createModel(made, ['\\frac'], tiny, 1);
    const names = await readdir(made);
    const files = await Promise.all(names.map(async (name) => [name, await readFile(join(made, name))] as const));
    scene.server.add({ kind: 'model', id: ID, files: Object.fromEntries(files) });
    const image = join(scene.home, 'x.png');
    await sharp({ create: { width: 56, height: 28, channels: 3, background: 'white' } })
      .png()
      .toFile(image);
    const read = (model: string, ...flags: string[]): Promise<Outcome> =>
      start(
        ['predict', image, '--model', model, '--max-new-tokens', '2', '--json', ...flags],
        scene.server.env(scene.home),
      ).outcome;
    const fetched = await read(`hf:${ID}`);
    expect(fetched.code, fetched.err).toBe(0);
    const asked = scene.server.seen.length;
    expect(asked).toBeGreaterThan(names.length);
    const again = await read(`hf:${ID}`, '--offline');
    expect([again.out, scene.server.seen.length]).toEqual([(await read(made)).out, asked]);
    expect(again.out).toBe(fetched.out);
  });

  it('takes names of hubs wherever it takes a model', async () => {
    const env = scene.server.env(scene.home);
    const model = `modelscope:${ID}`;
    for (const args of [
      ['predict', join(scene.home, 'x.png'), '--model', model],
      ['eval', '--model', model, '--data', join(scene.home, 'x.json')],
      ['train', join(scene.home, 'x.yaml'), '--model', model],
    ]) {
      await writeFile(join(scene.home, 'x.png'), '');
      await writeFile(join(scene.home, 'x.json'), '[]');
      await writeFile(join(scene.home, 'x.yaml'), 'data: { train: x.json }\noutput: out\n');
      const { code, err } = await start([...args, '--offline'], env).outcome;
      expect(err).toMatch(
        /modelscope:Qwen\/Tiny-VL: offline, and it is not in .*; fetch it once with a network: texlens fetch/,
      );
      expect(code).toBe(2);
    }
    expect(scene.server.seen).toEqual([]);
  });
});
