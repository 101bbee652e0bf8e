// Variations of listed formulas, so that a model must look instead of knowing the list by heart: variables and digits
// change, groups are grafted from another formula, short formulas are joined. Canonical in, canonical out.
import type { Random } from '../../shared/random.ts';

const LOWER = [...'abcdefghijklmnopqrstuvwxyz'];
const UPPER = LOWER.map((letter) => letter.toUpperCase());
const DIGITS = [...'0123456789'];
const GREEK = (
  'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau ' +
  'upsilon phi varphi chi psi omega ell partial'
)
  .split(' ')
  .map((name) => `\\${name}`);
const GREEK_CAPITALS = 'Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega'
  .split(' ')
  .map((name) => `\\${name}`);
const ALPHABETS = [LOWER, UPPER, DIGITS, GREEK, GREEK_CAPITALS];
const ALPHABET = new Map(ALPHABETS.flatMap((alphabet) => alphabet.map((symbol) => [symbol, alphabet] as const)));

/** Their next group is no formula: lengths, columns. */
const VERBATIM = new Set(['\\begin{array}', '\\hspace', '\\hspace*', '\\kern', '\\mkern', '\\rule', '\\raisebox']);
/** Their next group is letters of one kind, which must stay of that kind. */
const FONTS = new Set([
  ...['\\mathrm', '\\mathbf', '\\mathcal', '\\mathbb', '\\mathfrak', '\\mathscr', '\\mathit', '\\mathsf', '\\mathtt'],
  ...['\\operatorname', '\\operatorname*', '\\text'],
]);
const SEPARATORS = [[','], [',', '\\quad'], [',', '\\qquad'], ['='], ['\\rightarrow'], [';'], [',', '~']];
/** Tokens to which formulas are joined and groups grafted. */
const SHORT = 40;
const LONGEST_GRAFT = 14;

/** A variation of the canonical tokens; `other` is another formula of the same kind. */
export function vary(tokens: readonly string[], other: readonly string[], random: Random): readonly string[] {
  let varied = tokens;
  if (random.float() < 0.4) varied = graft(varied, other, random);
  else if (tokens.length < SHORT && other.length < SHORT && !breaks(tokens) && !breaks(other))
    varied = [...tokens, ...random.pick(SEPARATORS), ...other];
  return renamed(varied, random);
}

/** Alignments and line ends stay at the outermost level of their formula. */
const breaks = (tokens: readonly string[]): boolean => tokens.includes('\\\\') || tokens.includes('&');

/** Every variable keeps one new name throughout the formula; digits change one by one. */
function renamed(tokens: readonly string[], random: Random): string[] {
  const share = random.float();
  const names = new Map<string, string>();
  const out: string[] = [];
  let plainUntil = 0; // the end of a group that is no formula
  let fontUntil = 0; // the end of a group in another font
  tokens.forEach((token, i) => {
    if (i >= plainUntil && tokens[i + 1] === '{') {
      if (VERBATIM.has(token)) plainUntil = groupEnd(tokens, i + 1);
      if (FONTS.has(token)) fontUntil = groupEnd(tokens, i + 1);
    }
    const alphabet = ALPHABET.get(token);
    if (alphabet === undefined || i < plainUntil) out.push(token);
    else if (alphabet === DIGITS) out.push(random.float() < share ? random.pick(DIGITS) : token);
    else {
      const key = i < fontUntil ? `font ${token}` : token;
      let name = names.get(key);
      if (name === undefined) {
        const from = i >= fontUntil && random.float() < 0.25 ? otherAlphabet(alphabet) : alphabet;
        name = random.float() < share ? random.pick(from) : token;
        names.set(key, name);
      }
      out.push(name);
    }
  });
  return out;
}

const otherAlphabet = (alphabet: readonly string[]): readonly string[] =>
  alphabet === LOWER ? GREEK : alphabet === UPPER ? GREEK_CAPITALS : alphabet === GREEK ? LOWER : UPPER;

/** The index after the brace that closes the one at `open`. */
function groupEnd(tokens: readonly string[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    if (tokens[i] === '{') depth++;
    else if (tokens[i] === '}' && --depth === 0) return i + 1;
  }
  return tokens.length;
}

const TAKES_ANY = new Set(['_', '^', '\\frac', '\\sqrt', '\\overline', '\\underline', '\\widetilde', '\\widehat']);

/** Starts of the groups that may hold any formula. */
function groups(tokens: readonly string[]): number[] {
  const found: number[] = [];
  for (let i = 1; i < tokens.length; i++)
    if (tokens[i] === '{' && TAKES_ANY.has(tokens[i - 1] as string)) found.push(i);
  return found;
}

/** The formula with one of its groups taken from another. */
function graft(tokens: readonly string[], other: readonly string[], random: Random): readonly string[] {
  const [places, sources] = [groups(tokens), groups(other)];
  if (places.length === 0 || sources.length === 0) return tokens;
  const [place, source] = [random.pick(places), random.pick(sources)];
  const piece = other.slice(source, groupEnd(other, source));
  if (piece.length > LONGEST_GRAFT || breaks(piece)) return tokens;
  return [...tokens.slice(0, place), ...piece, ...tokens.slice(groupEnd(tokens, place))];
}
