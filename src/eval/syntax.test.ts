// Mending formulas that do not parse.
import { expect, it } from 'vitest';
import { parsing } from './syntax.ts';

it.each([
  ['a brace', '\\frac { a } { b', '\\frac { a } { b }'],
  ['a fence at the end', '\\left( a + \\frac { b } { c }', '\\left( a + \\frac { b } { c } \\right.'],
  ['rows', '\\begin{array} { c c } a & b \\\\ c & d', '\\begin{array} { c c } a & b \\\\ c & d \\end{array}'],
  ['rows of another name', '\\begin{array} { c } a \\end{aligned}', '\\begin{array} { c } a \\end{array}'],
  [
    'rows before their fence',
    '\\left[ \\begin{array} { c } a \\right]',
    '\\left[ \\begin{array} { c } a \\end{array} \\right]',
  ],
  [
    'a fence and a brace at the end of their cell',
    '\\begin{array} { c c } \\left( x _ { 1 & y \\\\ 2 & 3 \\end{array}',
    '\\begin{array} { c c } \\left( x _ { 1 } \\right. & y \\\\ 2 & 3 \\end{array}',
  ],
  ['compact spelling', '\\left\\{\\sqrt{x', '\\left\\{\\sqrt{x } \\right.'],
])('closes %s', (_, formula, mended) => {
  expect(parsing(formula)?.replace(/\s+/g, ' ')).toBe(mended);
});

it.each([
  ['a brace', 'a } + b', 'a + b'],
  ['a fence, but for its sign', 'a \\right) + b', 'a ) + b'],
  ['an invisible fence', 'a \\right. + b', 'a + b'],
  ['rows', 'a \\end{array} + b', 'a + b'],
  ['a cell', 'a & b', 'a b'],
  [
    'a fence of another cell, where an outer one waits for the end of the rows',
    '\\left\\{ \\begin{array} { c c } ( a & b \\right) \\\\ c & d \\end{array} \\right.',
    '\\left\\{ \\begin{array} { c c } ( a & b ) \\\\ c & d \\end{array} \\right.',
  ],
])('leaves out what closes nothing: %s', (_, formula, mended) => {
  expect(parsing(formula)?.replace(/\s+/g, ' ')).toBe(mended);
});

it('leaves what parses as it is, even where a brace or ampersand is written', () => {
  for (const formula of ['\\{ a \\}', 'a \\& b', '\\begin{cases}a&b\\\\{c}&d\\end{cases}', 'a\\\\b'])
    expect(parsing(formula)).toBe(formula);
});

it('knows what it cannot mend', () => {
  for (const formula of ['', ' ', '\\frac', 'x _ a _ b', '\\left']) expect(parsing(formula)).toBeNull();
});
