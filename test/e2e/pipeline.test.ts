// The whole job through the built command line: new model, data, training, kill and resume, evaluation, prediction.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const run = promisify(execFile);

interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

async function texlens(...args: string[]): Promise<Finished> {
  try {
    return { code: 0, ...(await run(process.execPath, [MAIN, ...args])) };
  } catch (error) {
    const { code, stdout, stderr } = error as Finished;
    return { code, stdout, stderr };
  }
}

const lastJson = (text: string): Record<string, unknown> =>
  JSON.parse(text.trim().split('\n').at(-1) as string) as Record<string, unknown>;

describe('from nothing to LaTeX', () => {
  let home: string;
  let config: string;
  const at = (...parts: string[]) => join(home, ...parts);
  const losses = async (output: string): Promise<string[]> =>
    (await readFile(at(output, 'metrics.jsonl'), 'utf8').catch(() => ''))
      .split('\n')
      .flatMap((line) => (line.endsWith('}') && line.includes('"loss"') && !line.includes('evaluation') ? [line] : []))
      .map((line) => {
        const { step, loss, gradNorm } = JSON.parse(line) as Record<string, number>;
        return `${step} ${loss} ${gradNorm}`;
      });

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'texlens-e2e-'));
    config = at('run.yaml');
    expect((await texlens('init', '--out', at('base'))).code).toBe(0);
    const prepared = await texlens(
      ...['prepare', '--source', 'synthetic', '--count', '40', '--out', at('data'), '--val-count', '4', '--json'],
    );
    expect(lastJson(prepared.stdout)).toMatchObject({ count: 40, train: 36, val: 4 });
    const settings = {
      model: at('base'),
      data: { train: at('data', 'train.json'), val: at('data', 'val.json'), prompt: 'LaTeX' },
      image: { min_pixels: 3136, max_pixels: 20000 },
      lora: { r: 4, alpha: 8, dropout: 0.1 },
      train: { max_steps: 8, batch_tokens: 256, row_tokens: 128, accumulate: 2, lr: 1e-3 },
      eval: { every_steps: 8, count: 2, max_new_tokens: 8 },
      save: { every_steps: 2, keep: 2 },
      output: at('whole'),
    };
    await writeFile(config, JSON.stringify(settings)); // JSON is YAML
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('a run killed at any moment and resumed repeats the same losses to the bit', async () => {
    const whole = await texlens('train', config, '--json');
    expect(whole.stderr).toContain('done: 8 steps');
    expect(lastJson(whole.stdout)).toMatchObject({ steps: 8 });
    const expected = await losses('whole');
    expect(expected).toHaveLength(8);

    const child = spawn(process.execPath, [MAIN, 'train', config, '--output', at('killed')], { stdio: 'ignore' });
    while ((await losses('killed')).length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const resumed = await texlens('train', config, '--output', at('killed'), '--resume');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await losses('killed')).toEqual(expected);
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

  it('bad images do not keep the good ones from being read, and exit with 2', async () => {
    const bad = at('bad.png');
    await writeFile(bad, 'no image');
    const good = at('data', 'images', '000001.png');
    const read = await texlens('predict', bad, good, '--model', at('base'), '--max-new-tokens', '2', '--json');
    expect(read.code).toBe(2);
    expect(read.stderr).toContain('bad.png');
    expect(lastJson(read.stdout)).toMatchObject({ image: good });
  });

  it('a truncated model file is named', async () => {
    const copy = at('cut');
    expect((await texlens('init', '--out', copy)).code).toBe(0);
    await truncate(join(copy, 'model.safetensors'), 5000);
    const { code, stderr } = await texlens('eval', '--model', copy, '--data', at('data', 'val.json'));
    expect(code).toBe(2);
    expect(stderr).toContain('model.safetensors');
  });
});
