// Compact LaTeX: expected texts were written by hand after the rules; that the tokens stay is tested on every formula.
import { describe, expect, it } from 'vitest';
import { LEVELS, randomFormula } from '../data/synthetic/grammar.ts';
import { canonicalTokens } from './canonical.ts';
import { compactLatex } from './compact.ts';

const RULES: readonly (readonly [rule: string, formula: string, compact: string])[] = [
  [
    'space ends a command before a letter',
    '\\Omega ( z ) = \\int _ { \\zeta } d w \\rho ( w ) \\operatorname { l n } ( z - w )',
    '\\Omega(z)=\\int_{\\zeta}dw\\rho(w)\\ln(z-w)',
  ],
  ['nothing else needs it', '\\alpha x \\beta 2 \\gamma \\delta', '\\alpha x\\beta2\\gamma\\delta'],
  ['words in a font', '\\mathrm { a b } \\mathcal { L }', '\\mathrm{ab}\\mathcal{L}'],
  ['space of text', '\\mathrm { i f ~ x }', '\\mathrm{if~x}'],
  ['operators of LaTeX', '\\operatorname { s i n } x', '\\sin x'],
  ['operators with limits', '\\operatorname* { l i m } _ { x \\rightarrow 0 } f', '\\lim_{x\\rightarrow0}f'],
  ['the same without scripts', '\\operatorname { m a x } ( a )', '\\max(a)'],
  ['limits at the side stay', '\\operatorname { d e t } _ { p } A', '\\operatorname{det}_p A'],
  ['limits that LaTeX would not set stay', '\\operatorname* { s i n } _ { p } A', '\\operatorname*{sin}_p A'],
  ['other operators', '\\operatorname { T r } A', '\\operatorname{Tr}A'],
  ['primes', 'f ^ { \\prime } g _ { i } ^ { \\prime \\prime }', "f'g_i''"],
  ['primes with more', 'f ^ { \\prime 2 } { f ^ { \\prime } } ^ { 2 }', "f^{\\prime2}{f'}^2"],
  ['a prime of nothing', '{ } ^ { \\prime } x', "{}'x"],
  ['a prime below', 'x _ { \\prime }', 'x_{\\prime}'],
  ['scripts of one letter or digit', 'x _ { 1 } ^ { 2 } = y ^ { n }', 'x_1^2=y^n'],
  ['other scripts', 'x _ { \\alpha } ^ { * } y _ { i j }', 'x_{\\alpha}^{*}y_{ij}'],
  ['what follows a script is no part of it', 'x _ { 1 } 2 + x _ { i } y', 'x_1 2+x_i y'],
  ['arguments keep their braces', '\\frac { 1 } { 2 } \\hat { x }', '\\frac{1}{2}\\hat{x}'],
  ['roots', '\\sqrt [ 3 ] { x } \\sqrt { x }', '\\sqrt[3]{x}\\sqrt{x}'],
  ['delimiters', '\\left( x \\middle| y \\right\\} \\bigl [ z', '\\left(x\\middle|y\\right\\}\\bigl[z'],
  ['delimiters by name', '\\left\\langle x \\right\\rangle y', '\\left\\langle x\\right\\rangle y'],
  ['spacing commands', 'a \\, b ~ c \\quad d \\; \\hspace{1cm} e', 'a\\,b~c\\quad d\\;\\hspace{1cm}e'],
  [
    'arrays',
    '\\left( \\begin{array} { l | r } \\hline a & b \\\\ [ c ] & - d \\end{array} \\right)',
    '\\left(\\begin{array}{l|r} \\hline a & b \\\\ [c] & -d \\end{array}\\right)',
  ],
  [
    'aligned',
    '\\begin{aligned} a & = & b \\\\ \\hline \\end{aligned}',
    '\\begin{aligned} a & = & b \\\\ \\hline \\end{aligned}',
  ],
  ['words that are not canonical', '\\dfrac a { b } \\to x _ 1 2 \\ y', '\\dfrac a{b}\\to x_1 2~y'],
];

const tokens = (formula: string): string => canonicalTokens(formula).tokens.join(' ');

describe('compactLatex', () => {
  it.each(RULES)('%s: %s', (_rule, formula, compact) => {
    expect(compactLatex(formula)).toBe(compact);
  });

  it.each(RULES)('%s: the tokens stay, and compact is compact', (_rule, formula) => {
    const compact = compactLatex(formula);
    expect(tokens(compact)).toBe(tokens(formula));
    expect(compactLatex(compact)).toBe(compact);
  });

  it.each(LEVELS)('keeps the tokens of every formula of the grammar: %s', (level) => {
    for (let i = 0; i < 400; i++) {
      const formula = randomFormula(11, i, level);
      const compact = compactLatex(formula);
      expect(tokens(compact)).toBe(formula);
      // It was not left as it is.
      expect(compact).not.toMatch(/ [_^}]/);
    }
  });

  it('leaves a formula as it is where fewer characters would say something else', () => {
    // Space between words of text, a script whose braces are missing, and what nobody can parse.
    for (const formula of ['\\text { if  so }', '\\frac { x _ { 1 }', '\\foo { x ^ { \\prime }', ''])
      expect(compactLatex(formula)).toBe(formula);
  });

  it('takes the spaces alone of what does not parse but reads the same', () => {
    expect(compactLatex('\\frac { a + b')).toBe('\\frac{a+b');
  });
});
