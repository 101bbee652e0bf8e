// The demonstration in little, through the built command line: it learns, keeps its held-out formulas apart and leaves
// everything in its folder.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConversations } from '../../src/data/conversation.ts';
import type { DemoReport } from '../../src/demo/demo.ts';
import type { Prediction } from '../../src/demo/picture.ts';
import { lastJson, texlens } from './cli.ts';

it('leaves a folder alone that holds a run of somebody’s own', async () => {
  const home = await mkdtemp(join(tmpdir(), 'texlens-demo-'));
  await mkdir(join(home, 'run'));
  await writeFile(join(home, 'run', 'adapter.safetensors'), 'mine');
  const { code, stderr } = await texlens('demo', '--quick', '--out', home);
  expect(code).toBe(2);
  expect(stderr).toContain(`${join(home, 'run')} is there and not of a demonstration (it holds adapter.safetensors)`);
  expect(await readFile(join(home, 'run', 'adapter.safetensors'), 'utf8')).toBe('mine');
  await rm(home, { recursive: true });
});

describe('demo --quick', () => {
  let home: string;
  let report: DemoReport;
  let predictions: readonly Prediction[];
  const at = (...parts: string[]) => join(home, ...parts);

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'texlens-demo-'));
    const { code, stdout, stderr } = await texlens('demo', '--quick', '--out', at('demo'), '--json');
    expect(code, stderr).toBe(0);
    report = lastJson(stdout) as unknown as DemoReport;
    ({ predictions } = JSON.parse(await readFile(at('demo', 'report.json'), 'utf8')) as typeof report & {
      predictions: Prediction[];
    });
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('reads handwriting better than the base does, on formulas that it was not trained on', async () => {
    expect(report.base.count).toBeGreaterThan(20);
    expect(report.tuned.count).toBe(report.base.count);
    expect(report.tuned.editDistance).toBeLessThan(report.base.editDistance);
    const trained = new Set((await readConversations(join(report.data, 'train.json'))).map((row) => row.text));
    expect(trained.size).toBeGreaterThan(150);
    expect(predictions.filter(({ truth }) => trained.has(truth))).toEqual([]);
  });

  it('leaves an adapter that reads the same as was shown', async () => {
    const { image, tuned } = predictions[0]!;
    const words = ['--spelling', 'as-written', '--json'];
    const read = await texlens('predict', image, '--adapter', report.adapter, ...words);
    expect(lastJson(read.stdout)).toMatchObject({ image, latex: tuned });
  });

  it('draws the predictions, one row each', async () => {
    const { width, height } = await sharp(report.picture).metadata();
    expect(width).toBeGreaterThan(1000);
    expect(height).toBeGreaterThan(1000);
  });
});
