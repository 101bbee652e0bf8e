// The door to KaTeX: formulas to its parse tree (github.com/KaTeX/KaTeX, src/types/nodes.ts) and to HTML with MathML.
// Formulas come from models, so nothing is trusted in HTML: no links, no images; expansion and sizes are bounded.
import katex from 'katex';

/** A node of KaTeX's parse tree; only what the tree's writer reads is named. */
export interface Node {
  readonly type: string;
  readonly text?: string;
  readonly body?: Node | readonly Node[] | readonly (readonly Node[])[];
  readonly [field: string]: unknown;
}

const LIMITS = { displayMode: true, strict: false, maxExpand: 1000, maxSize: 50 } as const;

/** Commands of LaTeX and plain TeX that printed formulas use and KaTeX lacks. */
const LACKING: Readonly<Record<string, string>> = {
  '\\mbox': '\\text{#1}',
  '\\mit': '\\it',
  '\\hfill': '',
  '\\vspace': '\\@secondoftwo{#1}{}',
  '\\matrix': '\\begin{matrix}#1\\end{matrix}',
  '\\pmatrix': '\\begin{pmatrix}#1\\end{pmatrix}',
};

/** `__parse` is KaTeX's own name for its parser alone; its types leave it out. */
const { __parse: parse } = katex as unknown as { __parse(formula: string, options: object): Node[] };

/**
 * What carries no picture goes: comments, labels, dollars, equation environments; eqnarray is the aligned it draws,
 * and a backslash at the end has lost its space. A % that begins a formula has lost its line break, as im2markup has it:
 * what follows it counts.
 */
export function stripped(formula: string): string {
  return formula
    .replace(/^\s*%/, '')
    .replace(/(?<!\\)((?:\\\\)*)%.*$/gm, '$1')
    .replace(/\\label\s*\{[^{}]*\}/g, '')
    .replace(/(?<!\\)((?:\\\\)*)(?:\\\[|\\\]|\\\(|\\\))/g, (_, before: string) => before)
    .replace(/\\(begin|end)\s*\{(?:equation|displaymath|math)\*?\}/g, '')
    .replace(/\\(begin|end)\s*\{(?:eqnarray|align|split)\*?\}/g, '\\$1{aligned}')
    .replace(/^\s*\$\$?|\$\$?\s*$/g, '')
    .replace(/(?<!\\)((?:\\\\)*)\\$/, '$1\\ ');
}

/** The tree, or null where KaTeX refuses the formula. */
export function parseFormula(formula: string, macros: Readonly<Record<string, string>> = {}): readonly Node[] | null {
  try {
    // A tree does nothing, so links may stand in it. The table is a copy, for \gdef writes into the one it is given.
    return parse(stripped(formula), { ...LIMITS, trust: true, throwOnError: true, macros: { ...LACKING, ...macros } });
  } catch {
    // ParseError, or a RangeError where braces nest too deep for its recursion.
    return null;
  }
}

/** HTML and MathML of a formula, or null where KaTeX refuses it. */
export function renderFormula(formula: string): string | null {
  try {
    return katex.renderToString(stripped(formula), {
      ...LIMITS,
      trust: false,
      throwOnError: true,
      output: 'htmlAndMathml',
      macros: { ...LACKING },
    });
  } catch {
    return null;
  }
}
