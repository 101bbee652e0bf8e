// The normalisation rules, one case a rule; expected texts were written by hand.
import { describe, expect, it } from 'vitest';
import { normalizeFormula } from './normalize.ts';

describe('normalizeFormula', () => {
  it.each([
    ['trims, and takes a line break for a space', ' a\nb ', 'a b'],
    ['strips around non-letters', '\\frac { a } { b } + 1 2', '\\frac{a}{b}+12'],
    ['keeps the space that ends a command before a letter', '\\alpha x + \\beta  y', '\\alpha x+\\beta y'],
    ['keeps the control space', 'a \\ b', 'a\\ b'],
    ['keeps a line break apart from a letter', 'a \\\\ b', 'a\\\\ b'],
    ['strips inside text commands', '\\operatorname { s i n } x', '\\operatorname{sin}x'],
    [
      'strips there only where a space stands before the brace',
      '\\mathrm{ d e f } \\text {a b}',
      '\\mathrm{d e f}\\text{ab}',
    ],
    ['takes the starred form', '\\operatorname * { m a x }', '\\operatorname*{max}'],
    ['leaves trailing punctuation', 'x = 1 .', 'x=1.'],
    ['leaves braces, case and names alone', 'X^{2}', 'X^{2}'],
    ['treats digits as non-letters', 'x 2 y', 'x2y'],
    ['keeps letters of other scripts', '值 a', '值 a'],
    ['knows the empty text', '   ', ''],
  ])('%s', (_name, formula, expected) => {
    expect(normalizeFormula(formula)).toBe(expected);
    expect(normalizeFormula(expected)).toBe(expected);
  });
});
