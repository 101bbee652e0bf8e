// `prepare --normalize`: one spelling for labels that differ only in spaces which typesetting ignores. Unlike the
// normalisation of scores (src/eval/normalize.ts), nothing changes that would be set differently.

/** What it does, for --help and prepare.json. */
export const LABEL_NORMALIZATION =
  'spaces that typesetting ignores are removed: one stays only between a command and a letter after it; the control ' +
  'space "\\ ", text in \\text{…} and \\mbox{…} and their kin, and "\\\\ [" stay as they are; in labels with % comments, ' +
  '\\verb or bare dimensions (\\kern, \\hskip, \\char …) runs of spaces become one';

const TOKEN = /\\[a-zA-Z]+|\\[\s\S]|\s+|[\s\S]/gu;
const COMMAND = /^\\[a-zA-Z]/;
const TEXT = /^\\(text(rm|bf|it|sf|tt|normal|up|md|sc|sl)?|mbox|hbox|fbox|tag|ref|label|href|url)$/;
/** Where a space may end a number or a comment. */
const DELICATE =
  /(^|[^\\])%|\\(verb|char|kern|mkern|mskip|hskip|vskip|raise|lower|unskip|vrule|hrule|def|let|newcommand)(?![a-zA-Z])/;

export function normalizeLabel(label: string): string {
  if (DELICATE.test(label)) return label.replace(/\s+/g, ' ').trim();
  const tokens = label.match(TOKEN) ?? [];
  let out = '';
  let last = '';
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.trim() === '') continue;
    const spaced = i > 0 && tokens[i - 1]!.trim() === '';
    if (COMMAND.test(last) && /^[a-zA-Z]/.test(token)) out += ' ';
    else if (spaced && last === '\\\\' && (token === '[' || token === '*')) out += ' ';
    out += token;
    last = token;
    if (TEXT.test(token)) {
      while (tokens[i + 1]?.trim() === '') i++;
      const end = groupEnd(tokens, i + 1);
      out += tokens.slice(i + 1, end).join('');
      if (end > i + 1) [i, last] = [end - 1, '}'];
    }
  }
  // A control space at the end is a token of its own, and stays.
  return out;
}

/** The index after the braced group that starts at `start`; `start` itself when none does, or it never ends. */
function groupEnd(tokens: readonly string[], start: number): number {
  if (tokens[start] !== '{') return start;
  let depth = 0;
  for (let i = start; i < tokens.length; i++) {
    if (tokens[i] === '{') depth++;
    else if (tokens[i] === '}' && --depth === 0) return i + 1;
  }
  return start;
}
