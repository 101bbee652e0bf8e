// What a run finds of earlier ones in its output folder, from the sources: to go on from, or to overwrite.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lastJson, texlensHere, type Workspace, workspace } from './cli.ts';

describe('an output folder', () => {
  let home: Workspace;
  const at = (...parts: string[]) => home.at(...parts);
  beforeAll(async () => {
    home = await workspace();
  });
  afterAll(() => home.remove());

  const train = async (...flags: string[]) => {
    const { code, stdout, stderr } = await texlensHere('train', at('run.yaml'), ...flags, '--json');
    expect(code, stderr).toBe(0);
    return { stderr, result: lastJson(stdout) };
  };
  const adapter = (folder: string) => readFile(at(folder, 'adapter', 'adapter_model.safetensors'));

  it('a run that stopped early stays stopped, unless its patience is raised', async () => {
    // A new model reads nothing right, so that the second evaluation is no better than the first.
    const flags = ['--output', at('early'), '--set', 'eval.every_steps=2', '--set', 'eval.metric=exact_match'];
    const patience = (n: number) => ['--set', `eval.early_stopping_patience=${n}`];
    const { result } = await train(...flags, ...patience(1));
    expect(result).toMatchObject({ steps: 4, stoppedEarly: true, best: { step: 2 } });
    const written = await adapter('early');
    const again = await train(...flags, ...patience(1), '--resume');
    expect(again.result).toMatchObject({ steps: 4, stoppedEarly: true, best: { step: 2 } });
    expect((await adapter('early')).equals(written)).toBe(true);
    expect((await train(...flags, ...patience(2), '--resume')).result).toMatchObject({ steps: 6, stoppedEarly: true });
  });

  it('that is overwritten keeps no best weights of the earlier run', async () => {
    const flags = ['--output', at('twice'), '--max-steps', '1', '--set', 'save.keep=1'];
    await train(...flags);
    expect(await readdir(at('twice'))).toContain('best');
    const { data, ...run } = JSON.parse(await readFile(at('run.yaml'), 'utf8')) as { data: { val?: string } };
    delete data.val;
    await writeFile(at('blind.yaml'), JSON.stringify({ ...run, data }));
    const { code, stderr } = await texlensHere('train', at('blind.yaml'), ...flags, '--overwrite');
    expect(code, stderr).toBe(0);
    expect(await readdir(at('twice'))).not.toContain('best');
  });

  it('is not written where the base model lies that is read', async () => {
    const flags = ['--output', at('full'), '--max-steps', '1', '--method', 'full'];
    await train(...flags);
    for (const base of ['model', 'best', 'checkpoints/checkpoint-1']) {
      const again = ['--model', at('full', base), '--overwrite'];
      const { code, stderr } = await texlensHere('train', at('run.yaml'), ...flags, ...again);
      expect(code, stderr).toBe(2);
      expect(stderr).toContain(`${at('full', base)}: lies where this run writes`);
      expect(await readdir(at('full', base))).toContain('model.safetensors');
    }
    await train(...flags, '--model', at('full', 'best'), '--output', at('further'));
  });
});
