// The scores against values worked out by hand, and the odd cases: empty texts, no pairs, characters beyond 16 bits.
import { describe, expect, it } from 'vitest';
import { InputError } from '../shared/errors.ts';
import {
  corpusBleu4,
  editDistance,
  exactMatch,
  exactMatchNormalized,
  METRIC_DEFINITIONS,
  scorePairs,
} from './metrics.ts';

describe('exact match', () => {
  it('is strict when raw and lenient on spaces when normalised', () => {
    expect(exactMatch('a + b', 'a+b')).toBe(0);
    expect(exactMatchNormalized('a + b', 'a+b')).toBe(1);
    expect(exactMatchNormalized('a + b', 'a+c')).toBe(0);
  });
});

describe('editDistance', () => {
  it.each([
    ['kitten', 'sitting', 3 / 7],
    ['', '', 0],
    ['', 'abc', 1],
    ['abc', '', 1],
    ['abc', 'abc', 0],
    ['x^2', 'x^{2}', 2 / 5],
    // One code point each, though two UTF-16 units that share their first half.
    ['\u{1D465}', '\u{1D466}', 1],
    ['a\u{1D465}', 'a', 1 / 2],
  ])('%j against %j', (truth, prediction, expected) => {
    expect(editDistance(truth, prediction)).toBeCloseTo(expected, 15);
  });
});

describe('corpusBleu4', () => {
  it('is 1 for a perfect answer and 0 without a common 4-gram', () => {
    expect(corpusBleu4([{ truth: 'a b c d e', prediction: 'a b c d e' }])).toBeCloseTo(1, 15);
    expect(corpusBleu4([{ truth: 'a b c d', prediction: 'a b c e' }])).toBe(0);
    expect(corpusBleu4([{ truth: 'a b c d', prediction: '' }])).toBe(0);
  });

  it('takes the geometric mean of the four precisions', () => {
    // One of six tokens differs, at the end: 5/6, 4/5, 3/4, 2/3; their product is 1/3.
    expect(corpusBleu4([{ truth: 'a b c d e f', prediction: 'a b c d e x' }])).toBeCloseTo((1 / 3) ** 0.25, 14);
  });

  it('sums counts over the corpus and punishes brevity', () => {
    // Matches 4+1, 3, 2, 1 of 4+1, 3, 2, 1; lengths 5 against 4+2: exp(1 - 6/5).
    const pairs = [
      { truth: 'a b c d', prediction: 'a b c d' },
      { truth: 'x y', prediction: 'x' },
    ];
    expect(corpusBleu4(pairs)).toBeCloseTo(Math.exp(-0.2), 14);
  });

  it('clips a repeated token at its count in the truth', () => {
    // Unigrams 4/5 (the fifth a is clipped), bigrams 3/4, trigrams 2/3, 4-grams 1/2: product 1/5.
    expect(corpusBleu4([{ truth: 'a a a a', prediction: 'a a a a a' }])).toBeCloseTo(0.2 ** 0.25, 14);
  });
});

describe('scorePairs', () => {
  it('reports every score with its definition', () => {
    const scores = scorePairs([
      { truth: 'a + b = c', prediction: 'a + b = c' },
      { truth: 'x ^ { 2 }', prediction: 'x^{2}' },
      { truth: 'abcd', prediction: 'abcx' },
      { truth: '', prediction: '' },
    ]);
    expect(scores.count).toBe(4);
    expect(scores.exactMatch).toBe(0.5);
    expect(scores.exactMatchNormalized).toBe(0.75);
    expect(scores.editDistance).toBeCloseTo(0.25 / 4, 15);
    // Unigrams 5/7, bigrams 4/4, trigrams 3/3, 4-grams 2/2; 7 tokens against 11.
    expect(scores.bleu4).toBeCloseTo((5 / 7) ** 0.25 * Math.exp(1 - 11 / 7), 14);
    expect(scores.definitions).toBe(METRIC_DEFINITIONS);
    for (const name of ['exactMatch', 'exactMatchNormalized', 'editDistance', 'bleu4'] as const) {
      expect(scores.definitions[name]).not.toBe('');
    }
  });

  it('refuses an empty list', () => {
    expect(() => scorePairs([])).toThrow(InputError);
  });
});
