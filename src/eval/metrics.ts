// The scores of formula OCR: exact match (raw and normalised), normalised edit distance and corpus BLEU-4.
// A number is worth printing only with its definition, so every result carries the definitions it was made by.
import { distance } from 'fastest-levenshtein';
import { InputError } from '../shared/errors.ts';
import { NORMALIZATION, normalizeFormula } from './normalize.ts';

export interface Pair {
  truth: string;
  prediction: string;
}

/** What each field of `Scores` means, in one sentence each; printed beside every result. */
export const METRIC_DEFINITIONS = {
  exactMatch: 'share of predictions identical to the truth, character for character, nothing normalised',
  exactMatchNormalized: 'share of predictions identical to the truth after normalisation',
  editDistance:
    'Levenshtein distance in characters (Unicode code points) after normalisation, divided by the longer length, ' +
    'mean over the formulas (UniMERNet); 0 is best, two empty texts count 0',
  bleu4:
    'corpus BLEU-4 over whitespace-separated tokens of the raw text, one reference, brevity penalty, no smoothing; ' +
    '1 is best, 0 when no 4-gram matches. Comparable neither with UniMERNet (13a tokens) nor with character BLEU',
  normalization: NORMALIZATION,
} as const;

export interface Scores {
  count: number;
  exactMatch: number;
  exactMatchNormalized: number;
  editDistance: number;
  bleu4: number;
  definitions: typeof METRIC_DEFINITIONS;
}

/** 1 when the texts are identical, else 0. */
export function exactMatch(truth: string, prediction: string): number {
  return truth === prediction ? 1 : 0;
}

/** 1 when the texts are identical after `normalizeFormula`, else 0. */
export function exactMatchNormalized(truth: string, prediction: string): number {
  return exactMatch(normalizeFormula(truth), normalizeFormula(prediction));
}

/** Levenshtein distance over code points / the longer length, of the texts as given; two empty texts give 0. */
export function editDistance(truth: string, prediction: string): number {
  const [a, b] = oneUnitPerCodePoint(truth, prediction);
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 0 : distance(a, b) / longer;
}

const ASTRAL = /[\u{10000}-\u{10FFFF}]/u;

/** Renames characters so that one UTF-16 unit stands for one code point; equality is all a distance needs. */
function oneUnitPerCodePoint(truth: string, prediction: string): [string, string] {
  if (!ASTRAL.test(truth) && !ASTRAL.test(prediction)) return [truth, prediction];
  const names = new Map<string, string>();
  const rename = (text: string): string => {
    let renamed = '';
    for (const char of text) {
      const name = names.get(char) ?? String.fromCharCode(names.size);
      names.set(char, name);
      renamed += name;
    }
    return renamed;
  };
  return [rename(truth), rename(prediction)];
}

/** Corpus BLEU-4: n-gram counts are summed over all pairs before the precisions are taken. */
export function corpusBleu4(pairs: readonly Pair[]): number {
  const matched = [0, 0, 0, 0];
  const proposed = [0, 0, 0, 0];
  let truthLength = 0;
  let predictionLength = 0;
  for (const { truth, prediction } of pairs) {
    const reference = tokens(truth);
    const candidate = tokens(prediction);
    truthLength += reference.length;
    predictionLength += candidate.length;
    for (let n = 1; n <= 4; n++) {
      const allowed = ngrams(reference, n);
      for (const [gram, times] of ngrams(candidate, n)) {
        proposed[n - 1]! += times;
        matched[n - 1]! += Math.min(times, allowed.get(gram) ?? 0);
      }
    }
  }
  if (matched.some((count) => count === 0)) return 0;
  const logPrecision = matched.reduce((sum, count, index) => sum + Math.log(count / proposed[index]!), 0) / 4;
  const brevity = Math.min(0, 1 - truthLength / predictionLength);
  return Math.exp(brevity + logPrecision);
}

function tokens(text: string): string[] {
  return text.split(/\s+/).filter((token) => token !== '');
}

/** How often each run of n tokens occurs; a space cannot stand in a token, so it can join them. */
function ngrams(list: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + n <= list.length; start++) {
    const gram = list.slice(start, start + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** All scores of one evaluation. A missing prediction is to be given as the empty text: it counts, as wrong. */
export function scorePairs(pairs: readonly Pair[]): Scores {
  if (pairs.length === 0)
    throw new InputError('nothing to score: expected at least one truth and prediction, got none');
  let same = 0;
  let sameNormalized = 0;
  let edits = 0;
  for (const { truth, prediction } of pairs) {
    const a = normalizeFormula(truth);
    const b = normalizeFormula(prediction);
    same += exactMatch(truth, prediction);
    sameNormalized += exactMatch(a, b);
    edits += editDistance(a, b);
  }
  return {
    count: pairs.length,
    exactMatch: same / pairs.length,
    exactMatchNormalized: sameNormalized / pairs.length,
    editDistance: edits / pairs.length,
    bleu4: corpusBleu4(pairs),
    definitions: METRIC_DEFINITIONS,
  };
}
