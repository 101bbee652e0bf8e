// texlens normalize: lists of formulas to the canonical spelling, what is left out and told, and the held-out share.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lastJson, texlensHere } from './cli.ts';

describe('normalize', () => {
  let home: string;
  const at = (name: string) => join(home, name);
  const lines = async (name: string) => (await readFile(at(name), 'utf8')).split('\n').slice(0, -1);
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'texlens-normalize-'));
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('writes text lists, CSV and JSON lines in one spelling, in order', async () => {
    await writeFile(at('list.txt'), 'x^2\n{a \\over b}\r\n');
    await writeFile(at('table.csv'), 'image,latex\n1.png,"f(x,y)"\n');
    await writeFile(at('rows.jsonl'), `${JSON.stringify({ text: "y'" })}\n`);
    const { code, stdout } = await texlensHere('normalize', at('list.txt'), at('table.csv'), at('rows.jsonl'));
    expect(code).toBe(0);
    expect(stdout).toBe('x ^ { 2 }\n\\frac { a } { b }\nf ( x , y )\ny ^ { \\prime }\n');
  });

  it('leaves out what is broken, empty, long, rare or there before, and says so', async () => {
    await writeFile(at('mixed.txt'), 'x^{2}\nx^2\n\\frac{x\n  \n\\alpha\nx+x+x+x+x\n');
    const { code, stdout, stderr } = await texlensHere(
      ...['normalize', at('mixed.txt'), '--unique', '--max-tokens', '8', '--min-count', '2', '--out', at('out.txt')],
      '--json',
    );
    expect(code).toBe(0);
    expect(await lines('out.txt')).toEqual(['x ^ { 2 }']);
    const { formulas, written, dropped } = lastJson(stdout);
    expect({ formulas, written }).toEqual({ formulas: 6, written: 1 });
    expect(
      Object.values(dropped as Record<string, { count: number; first: string }>).map(({ count, first }) => [
        count,
        first,
      ]),
    ).toEqual([
      [1, '\\frac{x'],
      [1, '  '],
      [1, 'x + x + x + x + x'],
      [1, 'x ^ { 2 }'],
      [1, '\\alpha in \\alpha'],
    ]);
    expect(stderr).toContain('KaTeX cannot parse it');
  });

  it('holds out different formulas, none of which is among the others in any spelling', async () => {
    const formulas = Array.from({ length: 60 }, (_, i) => `x_${i % 10}^{${i % 6}}`);
    await writeFile(at('many.txt'), formulas.join('\n'));
    const draw = (seed: string, name: string) =>
      texlensHere(
        ...['normalize', at('many.txt'), '--held-out', at(`${name}-held`), '--held-out-count', '12', '--seed', seed],
        ...['--out', at(name)],
      );
    for (const [seed, name] of [
      ['0', 'a'],
      ['0', 'again'],
      ['1', 'other'],
    ] as const)
      expect((await draw(seed, name)).code).toBe(0);
    const heldOut = await lines('a-held');
    const kept = await lines('a');
    expect(new Set(heldOut).size).toBe(12);
    expect(kept.filter((formula) => heldOut.includes(formula))).toEqual([]);
    // Thirty different formulas, each there twice.
    expect(kept.length).toBe(36);
    expect(await lines('again-held')).toEqual(heldOut);
    expect(await lines('other-held')).not.toEqual(heldOut);
  });

  it('leaves out the formulas of a test set, however they are spelled, spaced and stopped', async () => {
    await writeFile(at('all.txt'), 'a=b\n{a} = b\\,.\nb=a\n');
    await writeFile(at('test.txt'), 'a\\;=b,\n');
    const { code, stdout } = await texlensHere('normalize', at('all.txt'), '--without', at('test.txt'));
    expect(code).toBe(0);
    expect(stdout).toBe('b = a\n');
  });

  it('refuses to write both shares into one file', async () => {
    await writeFile(at('x.txt'), 'x\n');
    const args = ['normalize', at('x.txt'), '--out', at('one.txt'), '--held-out', `${home}/./one.txt`];
    const { code, stderr } = await texlensHere(...args);
    expect(code).toBe(2);
    expect(stderr).toContain('is --out too');
    expect(existsSync(at('one.txt'))).toBe(false);
  });

  it('refuses a table without formulas, and --json beside formulas on stdout', async () => {
    await writeFile(at('other.csv'), 'a,b\n1,2\n');
    const table = await texlensHere('normalize', at('other.csv'));
    expect(table.code).toBe(2);
    expect(table.stderr).toContain('expected a column latex, text, label, formula, found a, b');
    expect((await texlensHere('normalize', at('other.csv'), '--json')).code).toBe(2);
  });
});
