// What a run's identity hangs on.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createModel, SMALL } from '../models/qwen2_vl/create.ts';
import { identityOf, type RunParts } from './identity.ts';

test('it is the same for the same parts, and another for any other part', async () => {
  const home = await mkdtemp(join(tmpdir(), 'texlens-identity-'));
  try {
    const model = join(home, 'model');
    await createModel(model, ['\\frac'], SMALL, 0);
    const sample = (name: string, ...ids: number[]) => ({ name, ids: Int32Array.from(ids), labelStart: 1, images: [] });
    const samples = [sample('a', 1, 2), sample('b', 3)];
    const parts: RunParts = { settings: { lr: 1 }, samples, formulas: ['x', 'y'], model };

    const copy = join(home, 'copy');
    await cp(model, copy, { recursive: true });
    const same = await identityOf(parts);
    expect(await identityOf({ ...parts, model: copy })).toBe(same);

    // As after a step of training that reached one matrix.
    const file = join(copy, 'model.safetensors');
    const bytes = await readFile(file);
    for (let at = bytes.length / 2; at < bytes.length / 2 + 200_000; at++) bytes[at]! ^= 1;
    await writeFile(file, bytes);
    const others: Partial<RunParts>[] = [
      { settings: { lr: 2 } },
      { samples: samples.toReversed() },
      { samples: [sample('a', 1, 2), sample('c', 3)] },
      { samples: [sample('a', 1), sample('b', 2, 3)] },
      { formulas: ['xy'] },
      { model: copy },
    ];
    const found = await Promise.all(others.map((other) => identityOf({ ...parts, ...other })));
    expect(new Set([same, ...found]).size).toBe(others.length + 1);
  } finally {
    await rm(home, { recursive: true });
  }
});
