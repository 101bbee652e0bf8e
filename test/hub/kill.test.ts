// The command line against a hub: fetch killed with SIGKILL at random points and resumed, and what it prints.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type FetchResult, fetchModel } from '../../src/hub/fetch.ts';
import { Random } from '../../src/shared/random.ts';
import { hubScene } from './scene.ts';
import { CHUNK, HubServer, MODEL_FILES, modelFiles } from './server.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const ID = 'Qwen/Tiny-VL';
const FILES = modelFiles(5, 900_000);
const TOTAL = MODEL_FILES.reduce((sum, name) => sum + Buffer.from(FILES[name]!).length, 0);

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(
  args: readonly string[],
  env: Record<string, string>,
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH, ...env } });
  const outcome = Promise.all([once(child, 'close'), text(child.stdout!), text(child.stderr!)]).then(
    ([[code], out, err]) => ({ code: code as number | null, out, err }),
  );
  return { child, outcome };
}

async function expectModel(folder: string): Promise<void> {
  expect((await readdir(folder)).filter((name) => !name.startsWith('.')).sort()).toEqual([...MODEL_FILES].sort());
  for (const name of MODEL_FILES)
    expect((await readFile(join(folder, name))).equals(Buffer.from(FILES[name]!))).toBe(true);
}

describe('fetch killed and resumed', () => {
  const scene = hubScene();
  const LANES = 2;
  const KILLS = 50;

  it(`comes to the same bytes after each of ${KILLS} kills`, { timeout: 300_000 }, async () => {
    const random = Random.from(20, KILLS);
    const points = Array.from({ length: KILLS }, (_, i) => ({
      name: `${i % 2 ? 'modelscope' : 'hf'}:${ID}`,
      home: join(scene.home, String(i)),
      // From before the first byte to after the last one, when files are checked and put in place.
      bytes: Math.round(random.range(-0.1, 1) * TOTAL),
      delay: random.int(3) === 0 ? random.int(40) : 0,
    }));
    const kept: number[] = [];
    const lane = async (server: HubServer, number: number): Promise<void> => {
      for (const { name, home, bytes, delay } of points.filter((_, i) => i % LANES === number)) {
        server.reset();
        server.add({ kind: 'model', id: ID, files: FILES });
        server.fault = ({ file }) => (file ? { slowMs: 1 } : undefined);
        const run = start(['fetch', name, '--connections', '2', '--json'], server.env(home));
        const kill = (): void => void setTimeout(() => run.child.kill('SIGKILL'), delay);
        server.onServe = () => {
          if (server.served < bytes) return;
          server.onServe = () => {};
          kill();
        };
        if (bytes < 0) setTimeout(kill, random.int(200));
        const { out } = await run.outcome;
        // What a killed run had said to be done is done.
        if (out !== '') await expectModel((JSON.parse(out) as FetchResult).folder);
        server.onServe = () => {};
        server.served = 0;
        server.fault = () => undefined;
        const result = await fetchModel(name, { env: server.env(home), progress: () => {} });
        // The killed run's connections may each have had a chunk under way when counting began anew.
        expect(server.served - result.downloaded).toBeLessThanOrEqual(8 * CHUNK);
        await expectModel(result.folder);
        kept.push(TOTAL - result.downloaded);
      }
    };
    const second = await HubServer.start();
    try {
      await Promise.all([lane(scene.server, 0), lane(second, 1)]);
    } finally {
      await second.close();
    }
    expect(kept.length).toBe(KILLS);
    // Resuming is real: on average a kill keeps a good part of what had come, which is half of everything.
    expect(kept.reduce((sum, bytes) => sum + bytes, 0) / KILLS).toBeGreaterThan(TOTAL / 5);
    expect(kept.filter((bytes) => bytes > 0 && bytes < TOTAL - 2).length).toBeGreaterThan(KILLS / 4);
  });
});

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
