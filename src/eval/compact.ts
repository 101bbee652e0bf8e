// LaTeX as people write it, from formulas with a space between any two words (the canonical spelling, and what a
// tokenizer of LaTeX words writes): `x _ { 1 } = \operatorname { s i n } y` is `x_1=\sin y`. The canonical tokens stay.
import { canonicalTokens, LEXEME } from './canonical.ts';

/** Operators with a command of their own in LaTeX's kernel or amsmath; the latter take limits. */
const OPERATORS = new Set(
  'arccos arcsin arctan arg cos cosh cot coth csc deg dim exp hom ker lg ln log sec sin sinh tan tanh'.split(' '),
);
const LIMIT_OPERATORS = new Set('det gcd inf lim max min Pr sup'.split(' '));

/** The formula in few characters; as it is where that would give other canonical tokens. */
export function compactLatex(formula: string): string {
  const words = (formula.match(LEXEME) ?? []).map((word) => word.replace(/^\\\s$/, '~').replace(/\s+/g, ''));
  const pieces = shortened(words.join(' ')).split(' ');
  const text = pieces.reduce((before, piece, i) => before + separator(pieces[i - 1], piece) + piece, '');
  return canonical(text) === canonical(formula) ? text : formula;
}

const canonical = (formula: string): string => canonicalTokens(formula).tokens.join(' ');

/** Operators by their commands, primes, scripts of one letter or digit and the columns of an array as one piece each. */
const shortened = (words: string): string =>
  words
    .replace(/\\operatorname(\*?) \{ ((?:[a-zA-Z] )+)\}(?=( [_^]| \\(?:no)?limits\b|))/g, operator)
    .replace(/\^ \{ ((?:\\prime )+)\}/g, (_, primes: string) => "'".repeat(primes.split('\\').length - 1))
    .replace(/([_^]) (?:\{ ([a-zA-Z\d]) \}|([a-zA-Z\d])(?!\S))/g, '$1$2$3')
    .replace(/\\begin\{array\} \{[^{}]*\}/g, (columns) => columns.replaceAll(' ', ''));

function operator(words: string, star: string, letters: string, script: string): string {
  const name = letters.replaceAll(' ', '');
  const isCommand = star ? LIMIT_OPERATORS.has(name) : OPERATORS.has(name) || (!script && LIMIT_OPERATORS.has(name));
  return isCommand ? `\\${name}` : words;
}

/** Space where TeX needs it to tell a command's end, and where people do: x_1 y, a & b. */
function separator(before: string | undefined, piece: string): string {
  if (before === undefined) return '';
  const endsCommand = /\\[a-zA-Z]+$/.test(before) && /^[\p{L}@]/u.test(piece);
  const endsScript = /^[_^][a-zA-Z\d]$/.test(before) && /^[\p{L}\d]/u.test(piece);
  const endsCell = /^(?:&|\\\\|\\begin\{.*)$/.test(before) || /^(?:&|\\\\|\\end\{.*)$/.test(piece);
  return endsCommand || endsScript || endsCell ? ' ' : '';
}
