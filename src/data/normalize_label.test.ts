// Labels keep what they are set as: expected texts are written by hand, and KaTeX sets both spellings alike.
import katex from 'katex';
import { describe, expect, it } from 'vitest';
import { Random } from '../shared/random.ts';
import { normalizeLabel } from './normalize_label.ts';
import { LEVELS, makeFormula } from './synthetic/grammar.ts';

const set = (latex: string): string =>
  katex.renderToString(latex, { displayMode: true, strict: false, output: 'html', throwOnError: true });

describe('normalizeLabel', () => {
  it.each([
    ['\\frac { a } { b }  +\n1 2', '\\frac{a}{b}+12'],
    ['\\alpha x + \\beta  2', '\\alpha x+\\beta2'],
    ['a \\ b \\quad c', 'a\\ b\\quad c'],
    ['\\text {if and only if} x', '\\text{if and only if}x'],
    ['\\mbox{ a $x y$ {b c} } y', '\\mbox{ a $x y$ {b c} }y'],
    ['\\mathrm { d e f } \\operatorname * { m a x }', '\\mathrm{def}\\operatorname*{max}'],
    ['\\begin {array} { l l } a \\\\ [x] \\\\ b \\end{array}', '\\begin{array}{ll}a\\\\ [x]\\\\b\\end{array}'],
    ['a  \\kern 1em  b', 'a \\kern 1em b'],
    ['5 \\%  x % a comment', '5 \\% x % a comment'],
    ['5 \\% x', '5\\%x'],
    ['\\text {never', '\\text{never'],
    ['  ', ''],
  ])('%j', (label, expected) => {
    expect(normalizeLabel(label)).toBe(expected);
    expect(normalizeLabel(expected)).toBe(expected);
  });

  it('changes nothing that KaTeX sets', () => {
    for (let i = 0; i < 300; i++) {
      const latex = makeFormula(Random.from(7, i), LEVELS[i % LEVELS.length]!);
      const spaced = latex.replace(/(?<!\\)([{}^_])/g, ' $1 ');
      expect(set(normalizeLabel(spaced))).toBe(set(latex));
      expect(normalizeLabel(spaced)).toBe(normalizeLabel(latex));
    }
  });
});
