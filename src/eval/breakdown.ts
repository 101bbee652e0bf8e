// Where a model fails: the scores by the length of the formula and by the kinds of symbol that are in it.
import type { Grade } from './metrics.ts';

export const BREAKDOWN_DEFINITIONS = {
  byLength: 'formulas by the number of canonical tokens of the truth',
  bySymbols: 'formulas whose truth has at least one canonical token of the kind; a formula counts in several',
  recall: 'of the kind’s tokens in the truths, the share that the predictions have too, whatever their place',
} as const;

export interface Slice {
  readonly name: string;
  readonly count: number;
  readonly exactMatchCanonical: number;
  readonly editDistance: number;
}

export interface SymbolSlice extends Slice {
  readonly recall: number;
}

export interface Breakdown {
  readonly byLength: readonly Slice[];
  readonly bySymbols: readonly SymbolSlice[];
  readonly definitions: typeof BREAKDOWN_DEFINITIONS;
}

const LENGTHS: readonly (readonly [from: number, to: number])[] = [
  [0, 10],
  [11, 25],
  [26, 50],
  [51, 100],
  [101, 200],
  [201, Number.POSITIVE_INFINITY],
];

const oneOf = (names: string): RegExp => new RegExp(`^\\\\(?:${names.split(' ').join('|')})$`);

const SYMBOLS: Readonly<Record<string, RegExp>> = {
  digits: /^\d$/,
  letters: /^\p{L}$/u,
  Greek: oneOf(
    '(?:var)?(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega) ' +
      '(?:var)?(?:Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega)',
  ),
  scripts: /^[_^]$/,
  fractions: oneOf('frac binom atop'),
  roots: oneOf('sqrt'),
  'big operators': oneOf('sum prod coprod o?i{1,3}nt big(?:cup|cap|vee|wedge|sqcup|uplus|o(?:plus|times|dot))'),
  'named operators': oneOf('operatorname\\*? limsup liminf argmax argmin mathop'),
  accents: oneOf(
    'hat widehat tilde widetilde bar vec dot d{2,4}ot acute grave breve check mathring ' +
      'over(?:line|brace|(?:left|right|leftright)arrow) under(?:line|brace)',
  ),
  fonts: oneOf('math(?:rm|bf|it|sf|tt|cal|bb|frak|scr|normal) boldsymbol pmb'),
  'sized delimiters': /^\\(?:(?:left|middle|right)(?![a-z]*arrow|[a-z]*harpoon)|[bB]ig{1,2}[lrm]?$)/,
  'arrays and lines': /^(?:\\begin|\\\\$)/,
  spaces: /^(?:~|\\[,:;!]|\\q?quad|\\hspace.*)$/,
};

function slice(name: string, grades: readonly Grade[]): Slice {
  const mean = (value: (grade: Grade) => number): number =>
    grades.reduce((sum, grade) => sum + value(grade), 0) / grades.length;
  return {
    name,
    count: grades.length,
    exactMatchCanonical: mean((grade) => (grade.errors === 0 ? 1 : 0)),
    editDistance: mean((grade) => grade.editDistance),
  };
}

/** Kinds and lengths that no truth has are left out. */
export function breakdown(grades: readonly Grade[]): Breakdown {
  const byLength = LENGTHS.flatMap(([from, to]) => {
    const inside = grades.filter(({ tokens }) => tokens.truth.length >= from && tokens.truth.length <= to);
    const name = to === Number.POSITIVE_INFINITY ? `${from} or more tokens` : `${from} to ${to} tokens`;
    return inside.length > 0 ? [slice(name, inside)] : [];
  });
  const bySymbols = Object.entries(SYMBOLS).flatMap(([name, kind]) => {
    const inside = grades.filter(({ tokens }) => tokens.truth.some((token) => kind.test(token)));
    return inside.length > 0 ? [{ ...slice(name, inside), recall: recall(inside, kind) }] : [];
  });
  return { byLength, bySymbols, definitions: BREAKDOWN_DEFINITIONS };
}

function recall(grades: readonly Grade[], kind: RegExp): number {
  let wanted = 0;
  let found = 0;
  for (const { tokens } of grades) {
    const written = new Map<string, number>();
    for (const token of tokens.prediction) written.set(token, (written.get(token) ?? 0) + 1);
    for (const token of tokens.truth) {
      if (!kind.test(token)) continue;
      const left = written.get(token) ?? 0;
      wanted++;
      if (left > 0) found++;
      written.set(token, left - 1);
    }
  }
  return found / wanted;
}
