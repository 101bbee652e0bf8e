// Canonical tokens: expected ones were written by hand after the rules; that a rewriting keeps the picture is tested by
// KaTeX's own output.
import { describe, expect, it } from 'vitest';
import { canonicalTokens } from './canonical.ts';
import { renderFormula } from './katex.ts';

const canonical = (formula: string): string => canonicalTokens(formula).tokens.join(' ');

const RULES: readonly (readonly [rule: string, formula: string, tokens: string])[] = [
  ['one token a symbol and digit', 'x=12y', 'x = 1 2 y'],
  ['braces around scripts, sub before super', 'x^2_{ij}', 'x _ { i j } ^ { 2 }'],
  ['braces around arguments', '\\frac1{x}\\sqrt2', '\\frac { 1 } { x } \\sqrt { 2 }'],
  ['roots with their index', '\\sqrt[3]{x}', '\\sqrt [ 3 ] { x }'],
  ['primes are superscripts', "f''_i", 'f _ { i } ^ { \\prime \\prime }'],
  ['scripts of nothing', '{}_2F', '{ } _ { 2 } F'],
  ['fractions', 'x{a \\over b}', 'x \\frac { a } { b }'],
  ['sized fractions', '\\dfrac{a}{b}', '\\frac { a } { b }'],
  ['binomials', '{n \\choose k}', '\\binom { n } { k }'],
  ['fractions without a line', '{a \\atop b}', '{ { a } \\atop { b } }'],
  ['fractions between brackets', '{a \\brack b}', '\\left[ { { a } \\atop { b } } \\right]'],
  ['old fonts', '{\\rm d} {\\bf x y} {\\cal L}', '\\mathrm { d } \\mathbf { x y } \\mathcal { L }'],
  ['text', '\\text{if } \\mbox{so}', '\\mathrm { i f ~ } \\mathrm { s o }'],
  ['named operators', '\\sin x \\operatorname{Tr} A', '\\operatorname { s i n } x \\operatorname { T r } A'],
  ['operators with limits', '\\lim_{n\\to0}', '\\operatorname* { l i m } _ { n \\rightarrow 0 }'],
  ['two words', '\\limsup_x \\argmax\\limits_y', '\\limsup _ { x } \\argmax _ { y }'],
  ['limits that change nothing go', '\\sum\\limits_i \\int\\limits_0', '\\sum _ { i } \\int \\limits _ { 0 }'],
  ['same names', 'a\\le b\\ne c \\lbrace\\vert', 'a \\leq b \\neq c \\{ |'],
  ['spaces', 'a\\,b~c\\ d\\quad e\\hspace{1cm}f', 'a \\, b ~ c ~ d \\quad e \\hspace{1cm} f'],
  ['delimiters', '\\left(\\bigl[ x\\middle| y\\right\\rbrace', '\\left( \\bigl [ x \\middle| y \\right\\}'],
  ['what KaTeX spells out', '\\not\\subset \\notin \\cdots \\pmod n', '\\not \\subset \\notin \\cdots \\pmod { n }'],
  [
    'arguments of what KaTeX spells out',
    '\\boxed{\\mathbf F}\\pmod{x^2}',
    '\\boxed { \\mathbf { F } } \\pmod { x ^ { 2 } }',
  ],
  ['struck out', '\\not= \\not\\sim', '\\neq \\not \\sim'],
  ['dots as amsmath draws them', 'a,\\dots,b+\\dots+c\\dotsb', 'a , \\ldots , b + \\cdots + c \\cdots'],
  ['arrows with their space', 'a\\iff b', 'a \\; \\Longleftrightarrow \\; b'],
  [
    'delimiters that grow',
    '\\left\\lvert x\\right\\rvert \\left<y\\right>',
    '\\left| x \\right| \\left\\langle y \\right\\rangle',
  ],
  ['space at the ends goes', '\\;x~y\\quad\\,', 'x ~ y'],
  ['line breaks at the ends go', 'x\\\\y\\hspace{1cm}\\nonumber\\\\', 'x \\\\ y'],
  ['space under scripts is nothing', '~^*x', '{ } ^ { * } x'],
  ['display style at the start goes', '\\displaystyle x{\\displaystyle y}', 'x { \\displaystyle y }'],
  ['operators without scripts', '\\max(a)+\\sum\\nolimits a', '\\operatorname { m a x } ( a ) + \\sum a'],
  ['empty scripts go', 'x^{}_{i}+{}^{}', 'x _ { i } + { }'],
  ['braces that set no space go', '{x_i+y}{}^2{z}', 'x _ { i } + y { } ^ { 2 } z'],
  ['braces that set space stay', 'a{=}b{+c}', 'a { = } b { + c }'],
  ['braces with scripts stay', '{x_i}^2', '{ x _ { i } } ^ { 2 }'],
  ['accents of text', "\\text{\\'etale}", '\\mathrm { \\acute { e } t a l e }'],
  ['accents', '\\hat x\\overline{ab}', '\\hat { x } \\overline { a b }'],
  ['stacks', '\\stackrel a b\\underset{x}{y}', '\\stackrel { a } { b } \\underset { x } { y }'],
  ['bold', '\\boldsymbol x', '\\boldsymbol { x }'],
  ['braces around one symbol go', '{x}+{\\rm{y}}', 'x + \\mathrm { y }'],
  ['colours go', '\\color{red}x', 'x'],
  ['labels, dollars and comments go', '$x\\label{eq:a}$ % why', 'x'],
  ['a comment sign before all goes alone', '%x+1 % why', 'x + 1'],
  ['percent signs stay', '5\\% x', '5 \\% x'],
  [
    'arrays',
    '\\begin{array}{l|r}\\hline a&b\\\\c&d\\end{array}',
    '\\begin{array} { l | r } \\hline a & b \\\\ c & d \\end{array}',
  ],
  ['matrices', '\\begin{pmatrix}a&b\\end{pmatrix}', '\\left( \\begin{array} { c c } a & b \\end{array} \\right)'],
  ['plain matrices', '\\pmatrix{a\\cr b}', '\\left( \\begin{array} { c } a \\\\ b \\end{array} \\right)'],
  ['eqnarray', '\\begin{eqnarray}a&=&b\\end{eqnarray}', '\\begin{aligned} a & = & b \\end{aligned}'],
];

describe('canonicalTokens', () => {
  it.each(RULES)('%s: %s', (_rule, formula, tokens) => {
    expect(canonicalTokens(formula)).toEqual({ tokens: tokens.split(' '), parses: true });
  });

  it.each(RULES)('%s: twice is once', (_rule, formula) => {
    expect(canonical(canonical(formula))).toBe(canonical(formula));
  });

  it.each(RULES)('%s: the picture has the same symbols', (_rule, formula) => {
    expect(symbols(canonical(formula))).toBe(symbols(formula));
  });

  it('calls both strokes through ∈ one', () => {
    // KaTeX draws them as two glyphs, a hair apart.
    expect(canonical('a\\not\\in b')).toBe(canonical('a\\notin b'));
  });

  it('keeps the tokens of what does not parse', () => {
    expect(canonicalTokens('\\frac{a \\le \\foo{b}% no\n\\label{x}')).toEqual({
      tokens: ['\\frac', '{', 'a', '\\leq', '\\foo', '{', 'b', '}'],
      parses: false,
    });
    expect(canonicalTokens('')).toEqual({ tokens: [], parses: true });
  });

  it('keeps the tokens of what it has no rule for', () => {
    expect(canonicalTokens('\\href{a.b}{x}')).toEqual({ tokens: '\\href { a . b } { x }'.split(' '), parses: true });
  });

  it('lets no formula change what another one means', () => {
    expect(canonical('\\gdef\\neq{x}\\neq')).toBe('x');
    expect(canonical('\\neq')).toBe('\\neq');
  });

  it('ends for formulas that expand for ever or nest without end', () => {
    expect(canonicalTokens('\\def\\a{\\a\\a}\\a').parses).toBe(false);
    expect(canonicalTokens('{'.repeat(20_000)).parses).toBe(false);
    expect(canonicalTokens('{'.repeat(20_000) + '}'.repeat(20_000)).parses).toBe(false);
  });
});

/** The symbols that KaTeX draws, in order, without the source that it hides in the page. */
function symbols(formula: string): string {
  const html = renderFormula(formula);
  if (html === null) throw new Error(`${formula}: is not drawn`);
  return html
    .replace(/<span class="katex-mathml">.*?<\/math><\/span>/s, '')
    .replace(/<[^>]*>/g, '')
    .replace(/[\s\u00a0\u200b\u2061]/g, '');
}
