// Brings LaTeX formulas that differ only in meaningless spacing to one spelling, before they are compared.
// The rules are UniMERNet's (normalize_text in its test.py), which took them from pix2tex.

/** The name and the rules of `normalizeFormula`, for printing beside a number. */
export const NORMALIZATION =
  'UniMERNet: the ends are trimmed; spaces go inside the first brace pair of \\operatorname, \\mathrm, \\text and ' +
  '\\mathbf where one stands before the brace, and beside every character that is not a letter A-Z a-z; the control ' +
  'space "\\ " and spaces between two letters stay; nothing else changes (punctuation, braces, case and command names ' +
  'are left alone)';

// The command and its argument up to the first closing brace. As there, `\text {a b}` is matched and `\text{a b}` not.
const TEXT_COMMAND = /\\(?:operatorname|mathrm|text|mathbf)\s?\*? \{.*?\}/g;

// Python's [\W_^\d]: everything but letters of any script (and the number signs that are not decimal digits).
const NOT_LETTER = '(?:[^\\p{L}\\p{N}]|\\p{Nd})';
const LETTER = '[a-zA-Z]';
const RULES = [
  new RegExp(`(?!\\\\ )(${NOT_LETTER})\\s+?(${NOT_LETTER})`, 'gu'),
  new RegExp(`(?!\\\\ )(${NOT_LETTER})\\s+?(${LETTER})`, 'gu'),
  new RegExp(`(${LETTER})\\s+?(${NOT_LETTER})`, 'gu'),
];

/** The formula in the spelling that scores compare; see NORMALIZATION for the rules. Applying it twice changes nothing. */
export function normalizeFormula(formula: string): string {
  let text = formula.replace(/[\r\n]+/g, ' ').trim();
  text = text.replace(TEXT_COMMAND, (match) => match.replaceAll(' ', ''));
  for (;;) {
    let next = text;
    for (const rule of RULES) next = next.replace(rule, '$1$2');
    if (next === text) return text;
    text = next;
  }
}
