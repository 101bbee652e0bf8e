// Variations of formulas: still canonical, still set by MathJax, other than what they vary.
import { describe, expect, it } from 'vitest';
import { canonicalTokens } from '../../eval/canonical.ts';
import { Random } from '../../shared/random.ts';
import { randomFormula, tokensOf } from './grammar.ts';
import { typeset } from './typeset.ts';
import { vary } from './vary.ts';

const formulas = Array.from({ length: 300 }, (_, i) => tokensOf(randomFormula(11, i, i % 2 ? 'medium' : 'hard')));
const variations = formulas.map((tokens, i) =>
  vary(tokens, formulas[(i + 1) % formulas.length]!, Random.from(3, i)).join(' '),
);

describe('variations of formulas', () => {
  it('are in the canonical spelling', () => {
    for (const latex of variations) expect(canonicalTokens(latex).tokens.join(' ')).toBe(latex);
  });

  it('can be set', async () => {
    for (const latex of variations.slice(0, 60))
      expect((await typeset(latex, 'modern')).pieces.length).toBeGreaterThan(0);
  });

  it('differ from the formula, mostly', () => {
    const changed = variations.filter((latex, i) => latex !== formulas[i]!.join(' '));
    expect(changed.length).toBeGreaterThan(0.9 * formulas.length);
  });

  it('are the same for the same random state', () => {
    const again = formulas.map((tokens, i) => vary(tokens, formulas[(i + 1) % formulas.length]!, Random.from(3, i)));
    expect(again.map((tokens) => tokens.join(' '))).toEqual(variations);
  });

  it('give a variable one new name throughout, and leave columns and lengths alone', () => {
    const tokens = tokensOf('\\begin{array} { l c } { x + x } & { \\hspace { 1 0 p t } x } \\\\ \\end{array}');
    for (let i = 0; i < 50; i++) {
      const varied = vary(tokens, ['y'], Random.from(4, i));
      expect(varied.slice(0, 5)).toEqual(['\\begin{array}', '{', 'l', 'c', '}']);
      expect(varied.slice(12, 19)).toEqual(tokens.slice(12, 19));
      expect(new Set([varied[6], varied[8], varied[19]]).size).toBe(1);
    }
  });
});
