// The whole job through the built command line: new model, data, training, kill and resume, evaluation, prediction.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lastJson, MAIN, texlens, type Workspace, workspace } from './cli.ts';

describe('from nothing to LaTeX', () => {
  let home: Workspace;
  let config: string;
  const at = (...parts: string[]) => home.at(...parts);

  beforeAll(async () => {
    home = await workspace();
    config = at('run.yaml');
  });
  afterAll(() => home.remove());

  it('a prepared folder is left as it is by the same command, which says so', async () => {
    const again = await texlens(
      ...['prepare', '--source', 'synthetic', '--count', '40', '--out', at('data'), '--val-count', '4', '--json'],
    );
    expect(lastJson(again.stdout)).toMatchObject({ count: 40, train: 36, val: 4, already: true });
  });

  it('a run killed at any moment and resumed repeats the same losses to the bit', async () => {
    const whole = await texlens('train', config, '--json');
    expect(whole.stderr).toContain('done: 8 steps');
    expect(lastJson(whole.stdout)).toMatchObject({ steps: 8 });
    expect(whole.stderr).toMatch(/vision {2,}[\d,]+ parameters, frozen \(freeze\.vision\)/);
    // 3 layers × 4 × (256 + 256)
    expect(whole.stderr).toMatch(/layers\.0–2\.self_attn\.q_proj +r 4, 6,144\n/);
    expect(whole.stderr).toMatch(/memory: \d+\.\d+ GiB of tensors .*\ntime: about \d+ s for 8 steps/);
    const expected = await home.losses('whole');
    expect(expected).toHaveLength(8);

    const child = spawn(process.execPath, [MAIN, 'train', config, '--output', at('killed')], { stdio: 'ignore' });
    while ((await home.losses('killed')).length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const resumed = await texlens('train', config, '--output', at('killed'), '--resume');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await home.losses('killed')).toEqual(expected);
    const adapter = (folder: string) => readFile(at(folder, 'adapter', 'adapter_model.safetensors'));
    expect((await adapter('killed')).equals(await adapter('whole'))).toBe(true);
  });

  it('evaluates and predicts with the adapter', async () => {
    const model = ['--model', at('base'), '--adapter', at('whole', 'adapter')];
    const scored = await texlens('eval', ...model, '--data', at('data', 'val.json'), '--max-new-tokens', '8', '--json');
    expect(scored.code, scored.stderr).toBe(0);
    const scores = lastJson(scored.stdout);
    expect(scores).toMatchObject({ count: 4, exactMatch: expect.any(Number), editDistance: expect.any(Number) });
    const image = at('data', 'images', '000000.png');
    const read = await texlens('predict', image, ...model, '--max-new-tokens', '8', '--json');
    expect(lastJson(read.stdout)).toMatchObject({ image, latex: expect.any(String), confidence: expect.any(Number) });
  });

  it('resuming with another configuration is refused', async () => {
    const { code, stderr } = await texlens('train', config, '--output', at('killed'), '--resume', '--lr', '0.5');
    expect(code).toBe(2);
    expect(stderr).toContain('another configuration');
  });
});
