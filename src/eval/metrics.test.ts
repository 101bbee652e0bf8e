// The scores against sacrebleu, nltk and Levenshtein on recorded pairs (test/golden/eval, reference/eval_metrics.py),
// and against values worked out by hand where none of them has the definition.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InputError } from '../shared/errors.ts';
import { corpusBleu4, tokens13a } from './bleu.ts';
import { canonicalTokens } from './canonical.ts';
import { editDistance, tokenErrors } from './distance.ts';
import { grade, METRIC_DEFINITIONS, type Pair, type Scores, score } from './metrics.ts';
import { normalizeFormula } from './normalize.ts';

const scorePairs = (pairs: readonly Pair[]): Scores => score(pairs.map(grade));

interface Golden {
  readonly texts: readonly (Pair & { normalized: Pair; distance: number })[];
  readonly texts_scores: { readonly bleu_13a: number; readonly distance: number };
  readonly tokens: readonly (Pair & { errors: number })[];
  readonly tokens_scores: {
    readonly bleu: number;
    readonly edit_accuracy: number;
    readonly within: readonly [number, number, number];
  };
}
const FILE = new URL('../../test/golden/eval/pairs.json', import.meta.url);
const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Golden;
const split = (text: string): string[] => text.split(/\s+/).filter(Boolean);

// Sums of some fifty doubles, and their logarithms, in another order.
const DIGITS = 12;

describe('against the reference implementations', () => {
  it('normalises and measures every pair as UniMERNet', () => {
    for (const { truth, prediction, normalized, distance } of golden.texts) {
      expect(normalizeFormula(truth)).toBe(normalized.truth);
      expect(normalizeFormula(prediction)).toBe(normalized.prediction);
      expect(editDistance(normalized.truth, normalized.prediction)).toBeCloseTo(distance, DIGITS);
    }
  });

  it('scores the corpus as UniMERNet', () => {
    const scores = scorePairs(golden.texts);
    expect(scores.bleuUnimernet).toBeCloseTo(golden.texts_scores.bleu_13a, DIGITS);
    expect(scores.editDistance).toBeCloseTo(golden.texts_scores.distance, DIGITS);
  });

  it('scores tokens as im2markup', () => {
    const lists = golden.tokens.map((pair) => ({ truth: split(pair.truth), prediction: split(pair.prediction) }));
    expect(corpusBleu4(lists)).toBeCloseTo(golden.tokens_scores.bleu, DIGITS);
    expect(lists.map((pair) => tokenErrors(pair.truth, pair.prediction))).toEqual(golden.tokens.map((p) => p.errors));
  });

  it('scores texts as their canonical tokens', () => {
    for (const { truth } of golden.tokens) expect(canonicalTokens(truth).tokens).toEqual(split(truth));
    // Damage can be undone by the rewriting (braces doubled), so of the predictions those that it leaves alone.
    const left = golden.tokens.filter((pair) => canonicalTokens(pair.prediction).tokens.join(' ') === pair.prediction);
    expect(left.length).toBeGreaterThan(golden.tokens.length / 2);
    const scores = scorePairs(left);
    const share = (most: number): number => left.filter((pair) => pair.errors <= most).length / left.length;
    expect(scores.exactMatchCanonical).toBeCloseTo(share(0), DIGITS);
    expect(scores.withinOne).toBeCloseTo(share(1), DIGITS);
    expect(scores.withinTwo).toBeCloseTo(share(2), DIGITS);
  });
});

describe('editDistance', () => {
  it.each([
    ['kitten', 'sitting', 3 / 7],
    ['', '', 0],
    ['', 'abc', 1],
    ['abc', '', 1],
    ['x^2', 'x^{2}', 2 / 5],
    // One code point each, though two UTF-16 units that share their first half.
    ['\u{1D465}', '\u{1D466}', 1],
    ['a\u{1D465}', 'a', 1 / 2],
  ])('%j against %j', (truth, prediction, expected) => {
    expect(editDistance(truth, prediction)).toBeCloseTo(expected, 15);
  });
});

describe('corpusBleu4', () => {
  const bleu = (...pairs: [string, string][]): number =>
    corpusBleu4(pairs.map(([truth, prediction]) => ({ truth: split(truth), prediction: split(prediction) })));

  it('is 1 for a perfect answer and 0 without a common 4-gram', () => {
    expect(bleu(['a b c d e', 'a b c d e'])).toBeCloseTo(1, 15);
    expect(bleu(['a b c d', 'a b c e'])).toBe(0);
    expect(bleu(['a b c d', ''])).toBe(0);
  });

  it('sums counts over the corpus and punishes brevity', () => {
    // Matches 4+1, 3, 2, 1 of 4+1, 3, 2, 1; lengths 5 against 4+2: exp(1 - 6/5).
    expect(bleu(['a b c d', 'a b c d'], ['x y', 'x'])).toBeCloseTo(Math.exp(-0.2), 14);
  });

  it('clips a repeated token at its count in the truth', () => {
    // Unigrams 4/5 (the fifth a is clipped), bigrams 3/4, trigrams 2/3, 4-grams 1/2: product 1/5.
    expect(bleu(['a a a a', 'a a a a a'])).toBeCloseTo(0.2 ** 0.25, 14);
  });
});

it('13a leaves . and , inside numbers and breaks other punctuation off', () => {
  expect(tokens13a('a+2.5,b_{1}-3&lt;x')).toEqual([...'a + 2.5 , b _ { 1 } -3 < x'.split(' ')]);
  expect(tokens13a('2-3 x-3')).toEqual(['2', '-', '3', 'x-3']);
});

describe('score', () => {
  it('tells the ways of being right apart, in tokens and in characters', () => {
    const scores = scorePairs([
      { truth: 'a + b', prediction: 'a + b' },
      { truth: 'x ^ { 2 }', prediction: 'x^{2}' },
      { truth: '\\frac{a}{b}', prediction: '{a \\over b}' },
      { truth: 'abcd', prediction: 'abcx' },
      { truth: 'abcd', prediction: 'axyd' },
      { truth: 'abcd', prediction: '\\frac{' },
      { truth: '1', prediction: '' },
      { truth: '\\unknown', prediction: '\\unknown' },
    ]);
    expect(scores).toMatchObject({
      count: 8,
      exactMatch: 2 / 8,
      exactMatchNormalized: 3 / 8,
      exactMatchCanonical: 4 / 8,
      // abcx, and the missing 1
      withinOne: 6 / 8,
      // axyd; \frac { is four away
      withinTwo: 7 / 8,
      // neither \frac{, nor nothing, nor \unknown
      renderable: 5 / 8,
      renderableTruths: 7 / 8,
      repetition: 0,
    });
    // Of \frac{a}{b} against {a\over b} 9 of 11; of abcd against \frac{ 5 of 6 (a and c stay).
    expect(scores.editDistance).toBeCloseTo((9 / 11 + 1 / 4 + 2 / 4 + 5 / 6 + 1) / 8, DIGITS);
    // Spelling is nothing: of abcd against \frac{ 5 of 6.
    expect(scores.editDistanceCanonical).toBeCloseTo((1 / 4 + 2 / 4 + 5 / 6 + 1) / 8, DIGITS);
    // Errors 1 + 2 + 4 + 1; longer lengths 3 + 5 + 7 + 4 + 4 + 4 + 1 + 1.
    expect(scores.editAccuracyIm2markup).toBeCloseTo(1 - 8 / 29, 12);
  });

  it('counts a tail over and over, but where the truth has it too', () => {
    const loop = `x=${'\\cdots y '.repeat(10)}\\cdo`;
    const dots = `a ${'0 & '.repeat(40)}`;
    const pairs = [
      { truth: 'x = y', prediction: loop },
      { truth: dots, prediction: dots },
      { truth: 'x', prediction: 'aaaaaa' },
    ];
    expect(scorePairs(pairs).repetition).toBeCloseTo(1 / 3, 12);
  });

  it('defines every number it gives', () => {
    const { count, definitions, ...numbers } = scorePairs([{ truth: 'a', prediction: 'a' }]);
    expect(count).toBe(1);
    expect(definitions).toBe(METRIC_DEFINITIONS);
    for (const name of Object.keys(numbers)) expect(METRIC_DEFINITIONS).toHaveProperty(name);
  });

  it('refuses an empty list', () => {
    expect(() => scorePairs([])).toThrow(InputError);
  });
});
