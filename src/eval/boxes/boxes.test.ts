// Box matches: which tokens are seen and where, the matching against SciPy and scikit-image, and what scores make of it.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../shared/random.ts';
import { canonicalTokens } from '../canonical.ts';
import { grade, score } from '../metrics.ts';
import { assign } from './assignment.ts';
import { withBoxMatch } from './grade.ts';
import { f1, matchBoxes } from './match.ts';
import { type TokenBox, tokenBoxes } from './tokens.ts';

const tokens = async (latex: string): Promise<string> =>
  ((await tokenBoxes(latex)) ?? []).map(({ token }) => token).join(' ');
const match = (truth: string, prediction: string): Promise<number | null> =>
  matchBoxes(canonicalTokens(truth).tokens.join(' '), canonicalTokens(prediction).tokens.join(' '));

describe('tokenBoxes', () => {
  it.each([
    ['letters, accents, fractions and roots', '\\hat{x}+\\frac{a}{\\sqrt[3]{b}}', 'x ˆ + a \\sqrt 3 b \\frac'],
    ['letters of an operator’s name, one by one', '\\operatorname{sin} x', 's i n x'],
    ['fonts make no other token', '\\mathbb{R} \\mathbf{x} \\mathcal{L} \\ell', 'R x L ℓ'],
    ['dots', 'a \\ldots b', 'a . . . b'],
    ['primes', 'f ^ { \\prime \\prime }', 'f ′ ′'],
    ['no rules of tables', '\\begin{array}{|c|c|}\\hline a & b\\\\ \\hline\\end{array}', 'a b'],
  ])('sees %s', async (_, latex, wanted) => expect(await tokens(latex)).toBe(wanted));

  it('sees a stretched delimiter, root or brace as one, of whatever pieces', async () => {
    const tower = (rows: number): string =>
      `\\begin{matrix}${Array.from({ length: rows }, () => 'a').join('\\\\')}\\end{matrix}`;
    for (const rows of [1, 2, 4, 8]) {
      const inside = Array.from({ length: rows }, () => 'a').join(' ');
      for (const [left, right] of ['()', '[]'] as const)
        expect(await tokens(`\\left${left}${tower(rows)}\\right${right}`)).toBe(`${left} ${inside} ${right}`);
      expect(await tokens(`\\left\\{${tower(rows)}\\right\\}`)).toBe(`{ ${inside} }`);
      expect(await tokens(`\\left\\|${tower(rows)}\\right|`)).toBe(`‖ ${inside} |`);
      expect(await tokens(`\\sqrt{${tower(rows)}}`)).toBe(`\\sqrt ${inside}`);
    }
    expect(await tokens('\\overbrace{a+b+c}')).toBe('a + b + c ⏞');
  });

  it('gives boxes of ink: a bar spans its fraction, a root what it covers', async () => {
    const boxes = (await tokenBoxes('\\frac{a}{\\sqrt{b}}'))!;
    const of = (token: string): TokenBox => boxes.find((box) => box.token === token)!;
    expect(of('a').bottom).toBeGreaterThan(of('\\frac').top);
    expect(of('\\sqrt').top).toBeLessThan(of('\\frac').bottom);
    expect(of('\\frac').left).toBeLessThanOrEqual(of('\\sqrt').left);
    expect(of('\\sqrt').right).toBeGreaterThanOrEqual(of('b').right);
    // Computer Modern's italic a is 0.44 em high and a fraction's bar 0.06 (MathJax) thick.
    expect((of('a').top - of('a').bottom) / 1000).toBeCloseTo(0.45, 1);
    expect((of('\\frac').top - of('\\frac').bottom) / 1000).toBeCloseTo(0.06, 1);
  });

  it('is null for what cannot be set, and for what shows nothing', async () => {
    expect(await tokenBoxes('\\frac{a')).toBeNull();
    expect(await tokenBoxes('\\unknowncommand x')).toBeNull();
    expect(await tokenBoxes('\\quad')).toBeNull();
    expect(await tokenBoxes('')).toBeNull();
  });
});

describe('assign', () => {
  it('finds the least total cost, as trying all ways does', () => {
    const random = Random.from(1);
    for (let round = 0; round < 60; round++) {
      const rows = 1 + Math.floor(random.float() * 5);
      const columns = rows + Math.floor(random.float() * 3);
      // Few values, so that many costs are equal.
      const costs = Float64Array.from({ length: rows * columns }, () => Math.floor(random.float() * 6) / 2);
      const best = (row: number, used: ReadonlySet<number>): number => {
        if (row === rows) return 0;
        const free = Array.from({ length: columns }, (_, c) => c).filter((c) => !used.has(c));
        return Math.min(...free.map((c) => costs[row * columns + c]! + best(row + 1, new Set([...used, c]))));
      };
      const chosen = assign(costs, rows, columns);
      expect(new Set(chosen).size).toBe(rows);
      expect(chosen.reduce((sum, c, row) => sum + costs[row * columns + c]!, 0)).toBe(best(0, new Set()));
    }
  });
});

describe('matchBoxes', () => {
  type Flat = [token: string, left: number, bottom: number, right: number, top: number];
  interface Golden {
    readonly truth: string;
    readonly prediction: string;
    readonly a: readonly Flat[];
    readonly b: readonly Flat[];
    readonly least: number;
    readonly most: number;
  }
  const file = new URL('../../../test/golden/eval/box_match.json', import.meta.url);
  const golden = JSON.parse(readFileSync(file, 'utf8')) as readonly Golden[];
  const boxes = (list: readonly Flat[]): TokenBox[] =>
    list.map(([token, left, bottom, right, top]) => ({ token, left, bottom, right, top }));

  it('agrees with SciPy’s assignment and scikit-image’s RANSAC, as far as that does with itself', () => {
    for (const { truth, prediction, a, b, least, most } of golden) {
      const score = f1(boxes(a), boxes(b));
      // Python rounds 0.3125 to 0.312.
      expect(score, `${truth} | ${prediction}`).toBeGreaterThanOrEqual(least - 0.0011);
      expect(score, `${truth} | ${prediction}`).toBeLessThanOrEqual(most + 0.0011);
    }
    expect(golden.filter(({ least, most }) => least === most).length).toBeGreaterThan(12);
    expect(golden.some(({ most }) => most < 0.6)).toBe(true);
  });

  it.each([
    ['a \\over b', '\\frac ab', 1],
    ['{\\rm d}x', '\\mathrm{d} x', 1],
    ['\\left( x \\right)', '( x )', 1],
    // Example of CDM's README: five of seven tokens stay where they are.
    ['y = 2z + 3x', 'y = 2x + 3z', 0.714],
    ['x + 1', '', 0],
    ['x + 1', '\\frac{', 0],
    ['x + 1', 'y - 2', 0],
  ])('%s and %s: %d', async (truth, prediction, wanted) => expect(await match(truth, prediction)).toBe(wanted));

  it('cannot tell the place of one or two tokens, as CDM cannot (opendatalab/UniMERNet issue 86)', async () => {
    expect(await match('2^2', '2_2')).toBe(1);
    expect(await match('2^2', '22')).toBe(1);
  });

  it('is the same whenever it is asked, and both ways round in the counts that are equal', async () => {
    const [a, b] = ['\\sum_{i=1}^{n} x_i^2 + y_j = \\frac{a}{b}', '\\sum_{j=1}^{n} x_i^2 - y_i = \\frac{b}{a}'];
    expect(await match(a, b)).toBe(await match(a, b));
    expect(await match(a, a)).toBe(1);
  });

  it('a truth that cannot be set has none', async () => expect(await match('\\frac{', 'x')).toBeNull());
});

describe('scores', () => {
  it('have the mean, the share of ones, and the share of truths without', async () => {
    const pairs = [
      { truth: 'x^{2}', prediction: 'x^2' },
      { truth: 'y = 2z + 3x', prediction: 'y = 2x + 3z' },
      { truth: 'x+1', prediction: '\\frac{' },
      { truth: '\\frac{', prediction: 'x' },
    ].map(grade);
    const scores = score(await withBoxMatch(pairs));
    expect(scores.boxMatch).toBeCloseTo((1 + 0.714 + 0) / 3, 10);
    expect(scores).toMatchObject({ boxMatchExact: 1 / 3, boxMatchUnscored: 0.25 });
    expect(scores.definitions.boxMatch).toContain('are not CDM');
    expect(score(pairs)).not.toHaveProperty('boxMatch');
    expect(score(await withBoxMatch([grade({ truth: '{', prediction: 'x' })]))).toMatchObject({ boxMatchUnscored: 1 });
  });
});
