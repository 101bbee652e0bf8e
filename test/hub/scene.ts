// A fresh hub and a fresh home folder for every test of a file.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { HubServer } from './server.ts';

export interface Scene {
  readonly server: HubServer;
  readonly home: string;
}

export function hubScene(): Scene {
  const scene = {} as { server: HubServer; home: string };
  beforeAll(async () => {
    scene.server = await HubServer.start();
  });
  afterAll(() => scene.server.close());
  beforeEach(async () => {
    scene.home = await mkdtemp(join(tmpdir(), 'texlens-'));
    scene.server.reset();
  });
  afterEach(() => rm(scene.home, { recursive: true, force: true }));
  return scene;
}
