// texlens init: the new model's vocabulary holds all that the grammar writes, and its patches look past the paper.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LEVELS, randomFormula } from '../../src/data/synthetic/grammar.ts';
import { openSnapshot } from '../../src/formats/safetensors.ts';
import { Tokenizer } from '../../src/formats/tokenizer.ts';
import { lastJson, texlensHere } from './cli.ts';

describe('init', () => {
  let home: string;
  const at = (name: string) => join(home, name);
  const weights = (name: string) => readFile(join(at(name), 'model.safetensors'));

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'texlens-init-'));
    for (const [name, seed] of [
      ['a', '0'],
      ['again', '0'],
      ['other', '1'],
    ] as const)
      expect((await texlensHere('init', '--out', at(name), '--seed', seed)).code).toBe(0);
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('makes the same model of the same seed', async () => {
    expect((await weights('a')).equals(await weights('again'))).toBe(true);
    expect((await weights('a')).equals(await weights('other'))).toBe(false);
  });

  it.each(LEVELS)('writes every formula of the grammar and gets it back to the letter: %s', async (level) => {
    const tokenizer = await Tokenizer.load(at('a'));
    const unknown = tokenizer.idOf('<unk>');
    for (let i = 0; i < 2000; i++) {
      const latex = randomFormula(99, i, level);
      const ids = tokenizer.encode(latex);
      expect(tokenizer.decode(ids)).toBe(latex);
      expect(ids, latex).not.toContain(unknown);
    }
  });

  it('learns words of lists of formulas, in a model that is told its size', async () => {
    const list = at('list.txt');
    await writeFile(list, `${'\\aleph _ { q } + \\operatorname { t r } x\n'.repeat(20)}`);
    const flags = ['--formulas', list, '--vocabulary', '400', '--json'];
    const { code, stdout } = await texlensHere('init', '--out', at('learned'), ...flags);
    expect(code).toBe(0);
    expect(lastJson(stdout).entries).toBeLessThanOrEqual(400);
    const tokenizer = await Tokenizer.load(at('learned'));
    expect(tokenizer.encode('\\aleph _ { q } + \\operatorname { t r } x').length).toBe(5);
    const few = await texlensHere('init', '--out', at('few'), '--formulas', list, '--vocabulary', '200');
    expect(few.code).toBe(2);
    expect(few.stderr).toMatch(/--vocabulary 200: single tokens and named operators are \d+ already/);
  });

  it('shows blank paper of any shade to the first patch kernel alone', async () => {
    const snapshot = await openSnapshot(at('a'));
    const name = 'visual.patch_embed.proj.weight';
    const { shape } = snapshot.info(name);
    const data = await snapshot.read(name);
    await snapshot.close();
    const length = data.length / (shape[0] as number);
    const sums = Array.from({ length: shape[0] as number }, (_, e) =>
      data.subarray(e * length, (e + 1) * length).reduce((sum, x) => sum + x, 0),
    );
    expect(sums[0]).toBeGreaterThan(1);
    // Sums of 1,176 float32 numbers below 0.1.
    for (const sum of sums.slice(1)) expect(Math.abs(sum)).toBeLessThan(1e-5);
  });
});
