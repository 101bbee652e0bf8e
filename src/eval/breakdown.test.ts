// Slices of formulas by length and by kind of symbol, counted by hand.
import { expect, it } from 'vitest';
import { breakdown } from './breakdown.ts';
import { grade } from './metrics.ts';

it('slices by length and by kinds of symbol', () => {
  const { byLength, bySymbols } = breakdown(
    [
      { truth: '\\alpha+\\beta', prediction: '\\alpha+\\gamma' },
      { truth: '\\alpha\\alpha', prediction: '\\alpha' },
      { truth: '\\frac{1}{2}', prediction: '\\frac{1}{2}' },
      { truth: 'a+b+c+d+e+f', prediction: 'a+b+c+d+e+f' },
    ].map(grade),
  );
  expect(byLength).toMatchObject([
    { name: '0 to 10 tokens', count: 3, exactMatchCanonical: 1 / 3 },
    { name: '11 to 25 tokens', count: 1, exactMatchCanonical: 1, editDistance: 0 },
  ]);
  const kinds = Object.fromEntries(bySymbols.map((slice) => [slice.name, slice]));
  expect(Object.keys(kinds).sort()).toEqual(['Greek', 'digits', 'fractions', 'letters']);
  // Of alpha, beta, alpha, alpha the predictions have the first and one of the last two.
  expect(kinds.Greek).toMatchObject({ count: 2, exactMatchCanonical: 0, recall: 2 / 4 });
  expect(kinds.fractions).toMatchObject({ count: 1, exactMatchCanonical: 1, recall: 1 });
});

it.each([
  ['sized delimiters', '\\left( x \\right)', true],
  ['sized delimiters', 'a \\leftarrow b', false],
  ['sized delimiters', '\\bigl( x', true],
  ['sized delimiters', '\\bigcup x', false],
  ['big operators', '\\bigcup x', true],
  ['named operators', '\\lim x', true],
  ['arrays and lines', '\\begin{matrix}a\\end{matrix}', true],
])('%s in %s: %s', (kind, truth, has) => {
  const { bySymbols } = breakdown([grade({ truth, prediction: truth })]);
  expect(bySymbols.some(({ name }) => name === kind)).toBe(has);
});
