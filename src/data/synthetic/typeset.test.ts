// Typesetting: what real formulas write is set, rules and frames are drawn, and what cannot be set is named.
import { expect, it } from 'vitest';
import { Random } from '../../shared/random.ts';
import { BAR } from './glyphs.ts';
import { PLAIN } from './look.ts';
import { draw } from './picture.ts';
import { inkBox, STRIDE, type Typeset } from './placed.ts';
import { FONTS, typeset } from './typeset.ts';

const bars = ({ pieces }: Typeset): number => pieces.filter((value, i) => i % STRIDE === 0 && value === BAR).length;

it.each(FONTS)('sets the commands of papers and textbooks in %s', async (font) => {
  for (const latex of [
    '\\mathrm{Tr}\\,\\mathbf{x}\\mathcal{L}\\mathbb{R}\\mathfrak{g}\\mathscr{F}\\mathsf{A}\\mathtt{b}',
    '\\boldsymbol{\\theta} \\operatorname{argmax} \\operatorname*{lim} \\text{if } x \\textit{Mod}',
    '\\left( \\begin{array}{ll} a & b \\\\ c & d \\end{array} \\right) \\big| \\Bigg\\}',
    '\\overset{a}{=} \\underbrace{x+y}_{n} \\stackrel{def}{=} \\xrightarrow[a]{b} \\xmapsto{f} \\not\\in \\hspace{1em}',
    '\\sum_{\\substack{i<n \\\\ j<m}} \\ket{\\psi} \\dfrac{a}{b} \\binom{n}{k} \\upalpha \\coloneqq \\iint \\hslash',
    '\\begin{aligned} a &= b \\\\ &= c \\end{aligned} \\begin{cases} 1 & x \\\\ 2 & y \\end{cases} \\begin{pmatrix} 1 \\end{pmatrix}',
  ]) {
    expect(inkBox(await typeset(latex, font)), latex).toBeDefined();
  }
  expect(await typeset('x \\nonumber', font)).toEqual(await typeset('x', font));
});

it('draws the rules of tables, dashed ones too, and frames as four bars', async () => {
  expect(bars(await typeset('\\frac { a } { b }'))).toBe(1);
  expect(bars(await typeset('\\begin{array}{c|c} a & b \\\\ \\hline c & d \\end{array}'))).toBe(2);
  expect(bars(await typeset('\\begin{array}{c} a + b + c \\\\ \\hdashline d \\end{array}'))).toBeGreaterThan(5);
  const frame = await typeset('\\boxed { x }');
  expect(bars(frame)).toBe(4);
  const picture = draw(frame, PLAIN, { width: [1, 99], height: [1, 99], smallestFont: 9 }, Random.from(0))!;
  const mean = picture.pixels.reduce((sum, value) => sum + value, 0) / picture.pixels.length;
  // A frame is lines round paper, not a black box.
  expect(mean).toBeGreaterThan(180);
});

it('names what it cannot set', async () => {
  await expect(typeset('\\frac { a')).rejects.toThrow(/formula .*MathJax cannot set it \(Missing close brace/);
  await expect(typeset('\\text{字}')).rejects.toThrow(/has no glyph for "字"/);
  await expect(typeset('x \\tag{1}')).rejects.toThrow(/MathJax cannot set it/);
});

it('sets dots as TeX does: three spaced points, centred between operators', async () => {
  const low = await typeset('a , \\ldots , b');
  const box = inkBox(await typeset('\\ldots'))!;
  // Three points of 278 units and two thin spaces of 167, less the sides of the outer points.
  expect(box.right - box.left).toBeGreaterThan(900);
  expect(await typeset('a , \\dots , b')).toEqual(low);
  expect(await typeset('a + \\dots + b')).toEqual(await typeset('a + \\cdots + b'));
  expect(await typeset('a + \\dots + b')).not.toEqual(await typeset('a + \\ldots + b'));
});

it('keeps no definitions from one formula to the next', async () => {
  await expect(typeset('\\def\\x{y} \\x')).rejects.toThrow(/Undefined control sequence/);
});
