// Tokens and their differences, worked out by hand.
import { describe, expect, it } from 'vitest';
import { diffTokens, tokenize } from './token_diff.ts';

const texts = (latex: string): string[] => tokenize(latex).map(({ text }) => text);
const marked = (tokens: readonly { text: string; differs: boolean }[]): string[] =>
  tokens.filter(({ differs }) => differs).map(({ text }) => text);

describe('tokenize', () => {
  it('keeps commands whole and takes the rest by character', () => {
    expect(texts('\\frac{a}{12}')).toEqual(['\\frac', '{', 'a', '}', '{', '1', '2', '}']);
    expect(texts('\\operatorname*{x} \\\\ \\, 数')).toEqual(['\\operatorname*', '{', 'x', '}', '\\\\', '\\,', '数']);
  });

  it('takes a lone backslash at the end for a token', () => {
    expect(texts('a\\')).toEqual(['a', '\\']);
  });
});

describe('diffTokens', () => {
  it('marks nothing where only spacing differs', () => {
    const { truth, prediction } = diffTokens('x ^ { 2 }', 'x^{2}');
    expect([...marked(truth), ...marked(prediction)]).toEqual([]);
  });

  it('marks a misread token on both sides and no other', () => {
    const { truth, prediction } = diffTokens('\\sum _ { i = 1 }', '\\sum _ { i = l }');
    expect(marked(truth)).toEqual(['1']);
    expect(marked(prediction)).toEqual(['l']);
  });

  it('finds what is common around insertions', () => {
    const { truth, prediction } = diffTokens('a + b + c', 'a + x b c');
    expect(marked(truth)).toEqual(['+']);
    expect(marked(prediction)).toEqual(['x']);
  });

  it('stays quick and marks the middle where two long formulas have nothing in common', () => {
    const { truth, prediction } = diffTokens(`{${'a'.repeat(3000)}}`, `{${'b'.repeat(3000)}}`);
    expect(marked(truth)).toHaveLength(3000);
    expect(marked(prediction)).toHaveLength(3000);
    expect(truth[0]?.differs).toBe(false);
  });
});
