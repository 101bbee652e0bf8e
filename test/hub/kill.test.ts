// fetch killed with SIGKILL at random points, then resumed to the same bytes.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FetchResult, fetchModel } from '../../src/hub/fetch.ts';
import { Random } from '../../src/shared/random.ts';
import { expectModel, FILES, ID, start, TOTAL } from './child.ts';
import { hubScene } from './scene.ts';
import { CHUNK, HubServer } from './server.ts';

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
