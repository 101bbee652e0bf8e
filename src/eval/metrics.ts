// The scores of formula OCR. A number is worth printing only with its definition, so every result carries those it was
// made by; where a field's name names a project, its numbers compare with that project's.
import { InputError } from '../shared/errors.ts';
import { isLooping } from '../shared/repetition.ts';
import { corpusBleu4, tokens13a } from './bleu.ts';
import { CANONICAL, canonicalTokens } from './canonical.ts';
import { editDistance, tokenErrors } from './distance.ts';
import { NORMALIZATION, normalizeFormula } from './normalize.ts';

export interface Pair {
  truth: string;
  /** a missing prediction is the empty text: it counts, as wrong */
  prediction: string;
}

/** What each field of `Scores` means, in one sentence each; printed beside every result. */
export const METRIC_DEFINITIONS = {
  exactMatch: 'share of predictions identical to the truth, character for character, nothing normalised',
  exactMatchNormalized: 'share of predictions identical to the truth after UniMERNet’s whitespace normalisation',
  exactMatchCanonical: 'share of predictions whose canonical tokens are the truth’s (ExpRate over tokens)',
  withinOne: 'share of predictions at most one canonical token (inserted, deleted or replaced) from the truth',
  withinTwo:
    'share of predictions at most two canonical tokens from the truth; CROHME counts errors of its symbol layout ' +
    'tree instead, which differ',
  editDistance:
    'Levenshtein distance in characters (Unicode code points) after UniMERNet’s normalisation, divided by the longer ' +
    'length, mean over the formulas (UniMERNet); 0 is best, two empty texts count 0',
  editDistanceCanonical:
    'Levenshtein distance in characters (Unicode code points) between the canonical tokens of both, written without ' +
    'spaces, divided by the longer length, mean over the formulas; 0 is best, two empty texts count 0',
  bleuUnimernet:
    'corpus BLEU-4 over mteval-13a tokens after UniMERNet’s normalisation, one reference, brevity penalty, no ' +
    'smoothing (UniMERNet); 1 is best, 0 when no 4-gram matches',
  bleuIm2markup:
    'corpus BLEU-4 over canonical tokens, one reference, brevity penalty, no smoothing (im2markup); 1 is best',
  editAccuracyIm2markup:
    'im2markup’s edit distance accuracy: 1 − Σ distance / Σ longer length, in canonical tokens; 1 is best',
  boxMatch:
    'mean over the formulas of F1 = 2 · matches / (tokens of truth + tokens of prediction), to three decimals: both, as ' +
    'canonical tokens, are laid out by MathJax; their visible tokens (characters without their font, bars of fractions ' +
    'and roots) are matched at the least total cost (1 for another token, 0.05 for one that looks almost alike, 0.05 ' +
    'times the mean difference of their boxes’ sides in shares of the picture, 0.15 times that of their places in the ' +
    'order); matches of other tokens do not count, nor those that no common shift and scale explains to 0.6 em (RANSAC, ' +
    'five rounds). The matching is that of CDM (UniMERNet’s cdm/), which finds boxes by colour in TeX’s pictures: ' +
    'numbers come near to its, and are not CDM. A prediction that cannot be rendered counts 0, a truth that cannot is ' +
    'left out',
  boxMatchExact:
    'share of formulas whose box match is 1; the place of one or two tokens alone makes no difference to it',
  boxMatchUnscored: 'share of formulas that are left out of both, for their truth cannot be rendered',
  renderable: 'share of predictions that KaTeX can parse, and so draw; empty ones count as not',
  renderableTruths: 'the same share of the truths: what lies above it cannot be asked of a prediction',
  repetition:
    'share of predictions that end in one phrase of up to 120 characters, whitespace aside, over and over (6 times ' +
    'and 32 characters at least), where the truth does not',
  normalization: NORMALIZATION,
  canonical: CANONICAL,
} as const;

export type MetricName = Exclude<keyof typeof METRIC_DEFINITIONS, 'normalization' | 'canonical'>;

/** What only grades with box matches have. */
type BoxMetricName = 'boxMatch' | 'boxMatchExact' | 'boxMatchUnscored';

export interface Scores
  extends Readonly<Record<Exclude<MetricName, BoxMetricName>, number>>,
    Readonly<Partial<Record<BoxMetricName, number>>> {
  readonly count: number;
  readonly definitions: typeof METRIC_DEFINITIONS;
}

/** One pair and all that is known of it alone. */
export interface Grade {
  readonly pair: Pair;
  readonly normalized: Pair;
  readonly tokens: { readonly truth: readonly string[]; readonly prediction: readonly string[] };
  readonly renders: { readonly truth: boolean; readonly prediction: boolean };
  readonly exact: boolean;
  /** as the field of `Scores`, of this pair */
  readonly editDistance: number;
  /** as the field of `Scores`, of this pair */
  readonly editDistanceCanonical: number;
  /** canonical tokens to insert, delete or replace */
  readonly errors: number;
  readonly repeats: boolean;
  /** as the field of `Scores`, of this pair, where it was asked for; null where the truth cannot be rendered */
  readonly boxMatch?: number | null;
}

/** Whether the text ends in one phrase over and over. */
const repeats = (text: string): boolean => isLooping(Array.from(text.replace(/\s+/g, '')), 120);

export function grade(pair: Pair): Grade {
  const truth = canonicalTokens(pair.truth);
  const prediction = canonicalTokens(pair.prediction);
  const normalized = { truth: normalizeFormula(pair.truth), prediction: normalizeFormula(pair.prediction) };
  return {
    pair,
    normalized,
    tokens: { truth: truth.tokens, prediction: prediction.tokens },
    renders: {
      truth: truth.parses && truth.tokens.length > 0,
      prediction: prediction.parses && prediction.tokens.length > 0,
    },
    exact: pair.truth === pair.prediction,
    editDistance: editDistance(normalized.truth, normalized.prediction),
    editDistanceCanonical: editDistance(truth.tokens.join(''), prediction.tokens.join('')),
    errors: tokenErrors(truth.tokens, prediction.tokens),
    repeats: repeats(pair.prediction) && !repeats(pair.truth),
  };
}

/** All scores of one evaluation. */
export function score(grades: readonly Grade[]): Scores {
  if (grades.length === 0)
    throw new InputError('nothing to score: expected at least one truth and prediction, got none');
  const total = (value: (grade: Grade) => number): number => grades.reduce((sum, g) => sum + value(g), 0);
  const mean = (value: (grade: Grade) => number): number => total(value) / grades.length;
  const share = (holds: (grade: Grade) => boolean): number => mean((g) => (holds(g) ? 1 : 0));
  const longer = total(({ tokens }) => Math.max(tokens.truth.length, tokens.prediction.length));
  return {
    count: grades.length,
    exactMatch: share((g) => g.exact),
    exactMatchNormalized: share(({ normalized }) => normalized.truth === normalized.prediction),
    exactMatchCanonical: share((g) => g.errors === 0),
    withinOne: share((g) => g.errors <= 1),
    withinTwo: share((g) => g.errors <= 2),
    editDistance: mean((g) => g.editDistance),
    editDistanceCanonical: mean((g) => g.editDistanceCanonical),
    bleuUnimernet: corpusBleu4(
      grades.map(({ normalized }) => ({
        truth: tokens13a(normalized.truth),
        prediction: tokens13a(normalized.prediction),
      })),
    ),
    bleuIm2markup: corpusBleu4(grades.map((g) => g.tokens)),
    editAccuracyIm2markup: longer === 0 ? 1 : 1 - total((g) => g.errors) / longer,
    ...boxScores(grades),
    renderable: share((g) => g.renders.prediction),
    renderableTruths: share((g) => g.renders.truth),
    repetition: share((g) => g.repeats),
    definitions: METRIC_DEFINITIONS,
  };
}

function boxScores(grades: readonly Grade[]): Pick<Scores, BoxMetricName> {
  if (grades.every(({ boxMatch }) => boxMatch === undefined)) return {};
  const known = grades.flatMap(({ boxMatch }) => (typeof boxMatch === 'number' ? [boxMatch] : []));
  const boxMatchUnscored = 1 - known.length / grades.length;
  if (known.length === 0) return { boxMatchUnscored };
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { boxMatch: mean(known), boxMatchExact: mean(known.map((f1) => (f1 === 1 ? 1 : 0))), boxMatchUnscored };
}
