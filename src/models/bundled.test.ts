// The bundled model is where recipes say it is, from every folder.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bundledModel, orBundled } from './bundled.ts';

it('models/base is a folder here where there is one, else the bundled model; other names are what they are', async () => {
  const home = await mkdtemp(join(tmpdir(), 'texlens-bundled-'));
  const here = process.cwd();
  try {
    process.chdir(home);
    expect(orBundled('models/base')).toBe(bundledModel());
    expect(orBundled('models/other')).toBe('models/other');
    await mkdir(join(home, 'models', 'base'), { recursive: true });
    expect(orBundled('models/base')).toBe('models/base');
  } finally {
    process.chdir(here);
    await rm(home, { recursive: true });
  }
});
