// Training on formulas that are drawn meanwhile, through the built command line and from the sources.
import { spawn } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRun, readMeta } from '../../src/tracker/reader.ts';
import { lastJson, MAIN, texlens, texlensHere, type Workspace, workspace } from './cli.ts';

describe('drawn training samples', () => {
  let home: Workspace;
  const at = (...parts: string[]) => home.at(...parts);
  const config = () => at('drawn.yaml');

  beforeAll(async () => {
    home = await workspace();
    const run = JSON.parse(await readFile(at('run.yaml'), 'utf8')) as { data: object };
    const { val, prompt } = run.data as { val: string; prompt: string };
    await writeFile(at('formulas.txt'), Array.from({ length: 9 }, (_, i) => `x _ { ${i} } + y ^ { ${i} }\n`).join(''));
    // A block of 24 makes two or three steps, so that a run of eight meets two blocks, each twice.
    const draw = {
      formulas: [at('formulas.txt')],
      grammar: 0.5,
      level: 'easy',
      block: 24,
      looks: 2,
      passes: 2,
      workers: 1,
    };
    const data = { val, prompt, draw };
    await writeFile(config(), JSON.stringify({ ...run, data }));
  });
  afterAll(() => home.remove());

  it('a run killed at any moment and resumed, with more threads, repeats the same losses to the bit', async () => {
    const whole = await texlens('train', config(), '--json');
    expect(whole.code, whole.stderr).toBe(0);
    expect(whole.stderr).toMatch(/drawing, threads: 1, 24\/24/);
    expect(whole.stderr).toMatch(/samples: 24 \(0 dropped\)/);
    expect(whole.stderr).toMatch(/validation: 2 samples/);
    expect(whole.stderr).toMatch(/samples\/s waiting \d+ %/);
    expect(whole.stderr).toMatch(/waited for samples: \d+\.\d % of the time/);
    expect(lastJson(whole.stdout)).toMatchObject({ steps: 8, dropped: 0, waitShare: expect.any(Number) });
    const expected = await home.losses('whole');
    expect(expected).toHaveLength(8);
    const rows = [...(await openRun(at('whole'))).rows()];
    expect(rows.flatMap(({ values }) => values['train/epoch'] ?? []).at(-1)).toBeGreaterThan(1);
    for (const { values } of rows)
      if (values['train/loss'] !== undefined) expect(values['train/wait_share']).toBeLessThan(1);

    const child = spawn(process.execPath, [MAIN, 'train', config(), '--output', at('killed')], { stdio: 'ignore' });
    while ((await home.losses('killed')).length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const resumed = await texlens(
      ...['train', config(), '--output', at('killed'), '--resume', '--set', 'data.draw.workers=2'],
    );
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await home.losses('killed')).toEqual(expected);
    const adapter = (folder: string) => readFile(at(folder, 'adapter', 'adapter_model.safetensors'));
    expect((await adapter('killed')).equals(await adapter('whole'))).toBe(true);
  });

  it('other formulas, or blocks of another size, are refused by --resume', async () => {
    await writeFile(at('others.txt'), 'x\n');
    for (const change of [
      'data.draw.level=medium',
      `data.draw.formulas=[${at('others.txt')}]`,
      'data.draw.block=25',
      'data.draw.looks=3',
      'data.draw.passes=3',
      'train.seed=7',
    ]) {
      const { code, stderr } = await texlensHere('train', config(), '--resume', '--set', change);
      expect(code).toBe(2);
      expect(stderr).toContain('another configuration');
    }
  });

  it('samples that do not fit are dropped, and counted by their reason', async () => {
    const flags = ['--output', at('narrow'), '--row-tokens', '32', '--max-steps', '2', '--json'];
    const { code, stdout, stderr } = await texlensHere('train', config(), ...flags);
    expect(code, stderr).toBe(0);
    const [, count] = /dropped (\d+) drawn samples: N tokens, more than the 32 of a row\n/.exec(stderr)!;
    expect(Number(count)).toBeGreaterThan(0);
    expect(lastJson(stdout)).toMatchObject({ steps: 2, dropped: Number(count) });
    expect(stderr).toMatch(/dropped drawn sample \d+: \d+ tokens, more than the 32 of a row/);
  });

  it('what it does not say of prompt and pictures is as its base was trained, said, and kept; what it says counts', async () => {
    const { data, ...run } = JSON.parse(await readFile(config(), 'utf8')) as { model: string; data: { draw: object } };
    await cp(run.model, at('taught'), { recursive: true });
    const own = { prompt: 'x = y', replaces: true, sizing: { minPixels: 784, maxPixels: 78_400 }, tidy: { em: 26 } };
    await writeFile(at('taught', 'texlens.json'), JSON.stringify(own));
    const train = async (name: string, image: object, prompt?: string) => {
      const taught = { ...run, model: at('taught'), data: { draw: data.draw, prompt }, image };
      await writeFile(at('taught.yaml'), JSON.stringify(taught));
      const { code, stderr } = await texlensHere('train', at('taught.yaml'), '--output', at(name), '--max-steps', '1');
      expect(code, stderr).toBe(0);
      const kept: unknown = JSON.parse(await readFile(at(name, 'adapter', 'texlens.json'), 'utf8'));
      return { kept, stderr, recorded: (await readMeta(at(name)))!.config };
    };
    const all = await train('kept', {});
    expect(all.kept).toEqual(own);
    expect(all.stderr).toContain(
      'taught was trained, where the configuration says nothing: ' +
        'data.prompt "x = y", image.tidy_em 26, image.min_pixels 784, image.max_pixels 78400\n',
    );
    expect(all.recorded).toMatchObject({ image: { tidy_em: 26, min_pixels: 784, max_pixels: 78_400 } });
    expect(all.stderr).not.toContain('note: ');
    const some = await train('told', { tidy_em: 0, max_pixels: 20_000 }, 'y = x');
    const sizing = { minPixels: 784, maxPixels: 20_000 };
    expect(some.kept).toEqual({ prompt: 'y = x', replaces: true, sizing });
    expect(some.stderr).toContain('says nothing: image.min_pixels 784\n');
    expect(some.stderr).toMatch(/note: \S*taught was trained with the prompt "x = y" alone; a run with another one/);
  });

  it('when none fits, nothing is trained', async () => {
    const { code, stderr } = await texlensHere('train', config(), '--output', at('none'), '--row-tokens', '16');
    expect(code).toBe(2);
    expect(stderr).toMatch(/no sample fits: drawn sample \d+: \d+ tokens, more than the 16 of a row.*row_tokens/);
  });
});
