// Formulas as canonical tokens: parsed by KaTeX and written again, as im2markup's preprocess_latex.js does
// (github.com/harvardnlp/im2markup), so that spellings with one picture become one. CANONICAL tells the rules.
import { ARGUED, delimiter, keptName, MACROS, named, SAME_NEGATED, symbol, TEXT_ACCENTS } from './canonical_names.ts';
import { type Node, parseFormula, stripped } from './katex.ts';

/** The name and the rules of `canonicalTokens`, for printing beside a number. */
export const CANONICAL =
  'KaTeX parse and re-emit, as im2markup: one token a symbol, digit and brace; braces around every argument and script, ' +
  'sub before super; primes are superscripts; \\over, \\dfrac, \\tfrac and \\cfrac are \\frac; \\sin is \\operatorname { s i n }; ' +
  '\\text, \\mbox, \\hbox and \\rm are \\mathrm, other old font switches their \\math… command; names that LaTeX defines ' +
  'as the same are one (\\le \\leq, \\to \\rightarrow, \\vert |, …); matrix, cases and their kin are \\left…, array, \\right…; ' +
  'colours, gaps of rows, comments, \\label, $ around the formula and equation environments go. What no picture shows ' +
  'goes too: braces around one symbol or fraction, and around more that begins and ends in ordinary symbols and has no ' +
  'scripts of its own; empty scripts; the star and \\nolimits of operators without scripts; space and line breaks at ' +
  'the ends of the formula, and \\displaystyle before it; \\dots is the \\ldots or \\cdots that amsmath draws, \\iff and ' +
  '\\implies are arrows between \\;, \\not = is \\neq, \\left< is \\left\\langle. Where KaTeX cannot parse, the commands ' +
  'and characters of the text stand as they are, but for comments, \\label, $ around it and the same names';

export interface Canonical {
  readonly tokens: readonly string[];
  /** whether KaTeX parses the formula; where it does not, the tokens are the text's own */
  readonly parses: boolean;
}

/** The formula as canonical tokens. */
export function canonicalTokens(formula: string): Canonical {
  const tree = parseFormula(formula, MACROS);
  try {
    if (tree) return { tokens: trimmed(unstruck(expression(unstyled(tree)))), parses: true };
  } catch (error) {
    if (!(error instanceof UnknownNode)) throw error;
  }
  // A formula that KaTeX draws and this file cannot write counts as one that parses.
  return { tokens: (stripped(formula).match(LEXEME) ?? []).map(named), parses: tree !== null };
}

class UnknownNode extends Error {}

/** The formula is set in display style anyway. */
function unstyled(tree: readonly Node[]): readonly Node[] {
  const [first] = tree;
  return first?.type === 'styling' && first.style === 'display' ? [...list(first.body), ...tree.slice(1)] : tree;
}

/** Of \not and a symbol, the symbol that is both. */
function unstruck(tokens: readonly string[]): string[] {
  return tokens.flatMap((token, i) => {
    if (i > 0 && tokens[i - 1] === '\\not' && SAME_NEGATED.has(token)) return [];
    return token === '\\not' ? [SAME_NEGATED.get(tokens[i + 1] ?? '') ?? token] : [token];
  });
}

/** Space and line breaks. */
const BLANK = /^(?:~|\\[,:;!\\]|\\enspace|\\q?quad|\\hspace\{.*)$/;

/** What is blank around a whole formula is part of no picture. */
function trimmed(tokens: readonly string[]): readonly string[] {
  const isInk = (token: string): boolean => !BLANK.test(token);
  const first = tokens.findIndex(isInk);
  if (first < 0) return [];
  const ink = tokens.slice(first, tokens.findLastIndex(isInk) + 1);
  return ink[0] === '_' || ink[0] === '^' ? ['{', '}', ...ink] : ink;
}

/** The commands and characters of a text; environments whole. */
export const LEXEME = /\\(?:begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+\*?|\\.|\S/gsu;

const expression = (nodes: readonly Node[]): string[] =>
  nodes.flatMap((node, i) => (isArgument(node, nodes[i - 1]) ? braced(inner(node)) : write(node)));

/** Whether the node is what a command takes that KaTeX took for a letter. */
const isArgument = (node: Node, before: Node | undefined): boolean =>
  node.type !== 'supsub' && ARGUED.has(keptName(before?.text) ?? '');

const list = (body: unknown): readonly Node[] => (Array.isArray(body) ? (body as Node[]) : [body as Node]);

/** What stands in braces that the place itself brings: an argument's or a script's. */
function inner(node: Node): string[] {
  const body = node.type === 'ordgroup' ? list(node.body) : [node];
  const [only] = body;
  return body.length === 1 && only?.type === 'ordgroup' ? inner(only) : expression(body);
}

const braced = (tokens: readonly string[]): string[] => ['{', ...tokens, '}'];
const command = (name: string, ...args: readonly unknown[]): string[] => [
  name,
  ...args.flatMap((arg) => braced(list(arg).length === 1 ? inner(list(arg)[0] as Node) : expression(list(arg)))),
];

/** Braces around one of these change nothing that is seen, or spaces by a hair; \over and its kin cannot be without. */
const UNBRACED = new Set(['mathord', 'textord', 'font', 'text', 'hbox', 'accent', 'ordgroup', 'genfrac']);
const isFraction = ({ type, body }: Node): boolean =>
  type === 'genfrac' || (type === 'ordgroup' && list(body).length === 1 && isFraction(list(body)[0] as Node));
/** \dfrac and its kin: a style around a fraction alone. */
const isSizedFraction = ({ type, body }: Node): boolean =>
  type === 'styling' && list(body).length === 1 && isFraction(list(body)[0] as Node);
/** More whose space to the neighbours is an ordinary symbol's, as a group's is. */
const ORDINARY = new Set([...UNBRACED, 'sqrt', 'overline', 'underline']);
const isOrdinary = (node: Node): boolean =>
  node.type === 'supsub'
    ? !node.base || isOrdinary(node.base as Node)
    : ORDINARY.has(node.type) || isSizedFraction(node);
/** What reaches to the end of its group. */
const SWITCHES = new Set(['styling', 'sizing', 'color']);

/** Whether the braces of a group without scripts are seen: they bound a switch, or set the space at its ends. */
function isSeen(nodes: readonly Node[]): boolean {
  const [first] = nodes;
  const last = nodes.at(-1);
  if (!first || !last || !isOrdinary(first) || !isOrdinary(last)) return true;
  return nodes.some((node) => SWITCHES.has(node.type) && !isSizedFraction(node));
}

const TEXT_FONTS: Readonly<Record<string, string>> = {
  '\\textbf': '\\mathbf',
  '\\textit': '\\mathit',
  '\\emph': '\\mathit',
  '\\textsf': '\\mathsf',
  '\\texttt': '\\mathtt',
};
const SIZES = 'tiny sixptsize scriptsize footnotesize small normalsize large Large LARGE huge Huge'.split(' ');
const BIG = ['', '\\big', '\\Big', '\\bigg', '\\Bigg'];
const BIG_SIDE: Readonly<Record<string, string>> = { mopen: 'l', mclose: 'r', mrel: 'm', mord: '' };

interface Measure {
  readonly number: number;
  readonly unit: string;
}
const measure = (value: unknown): string => `${(value as Measure).number}${(value as Measure).unit}`;

function write(node: Node): string[] {
  const { type, body } = node;
  const label = String(node.label);
  switch (type) {
    case 'mathord':
    case 'textord':
    case 'atom':
    case 'spacing':
      return [node.text === ' ' ? '~' : symbol(node.text as string)];
    case 'ordgroup': {
      const nodes = list(body);
      return isSeen(nodes) ? braced(expression(nodes)) : expression(nodes);
    }
    case 'supsub':
      return scripted(node);
    case 'genfrac':
      return fraction(node);
    case 'sqrt':
      return node.index
        ? ['\\sqrt', '[', ...inner(node.index as Node), ']', ...braced(inner(body as Node))]
        : command('\\sqrt', body);
    case 'op':
    case 'operatorname':
      return operator(node, false);
    case 'font':
      return command(`\\${String(node.font)}`, body);
    case 'text':
      return command(TEXT_FONTS[String(node.font)] ?? '\\mathrm', body);
    case 'hbox':
      return command('\\mathrm', body);
    case 'mclass':
      return mathClass(node);
    case 'leftright':
      return [
        `\\left${delimiter(node.left as string)}`,
        ...expression(list(body)),
        `\\right${delimiter(node.right as string)}`,
      ];
    case 'middle':
      return [`\\middle${delimiter(node.delim as string)}`];
    case 'delimsizing':
      return [`${BIG[node.size as number]}${BIG_SIDE[node.mclass as string]}`, delimiter(node.delim as string)];
    case 'array':
      return array(node);
    case 'accent':
    case 'accentUnder':
    case 'horizBrace':
      return command(TEXT_ACCENTS[label] ?? label, node.base);
    case 'xArrow':
      return [label, ...(node.below ? ['[', ...inner(node.below as Node), ']'] : []), ...braced(inner(body as Node))];
    case 'enclose':
      return command(label, body);
    case 'overline':
    case 'underline':
    case 'phantom':
    case 'vphantom':
    case 'smash':
    case 'pmb':
    case 'vcenter':
      return command(`\\${type}`, body);
    case 'lap':
      return command(`\\math${String(node.alignment)}`, body);
    case 'raisebox':
      return command(`\\raisebox{${measure(node.dy)}}`, body);
    case 'kern':
      return [`\\hspace{${measure(node.dimension)}}`];
    case 'rule':
      return [`\\rule{${measure(node.width)}}{${measure(node.height)}}`];
    case 'sizing':
      return [`\\${SIZES[(node.size as number) - 1]}`, ...expression(list(body))];
    case 'styling': {
      const tokens = expression(list(body));
      return isSizedFraction(node) ? tokens : [`\\${String(node.style)}style`, ...tokens];
    }
    case 'tag':
      return [...expression(list(body)), ...command('\\tag', node.tag)];
    case 'htmlmathml':
      return expression(list(node.mathml));
    case 'mathchoice':
      return expression(list(node.display));
    case 'color':
      return expression(list(body));
    case 'cr':
      return ['\\\\'];
    case 'internal':
      return [];
    default:
      throw new UnknownNode(type);
  }
}

function fraction({ numer, denom, hasBarLine, leftDelim, rightDelim }: Node): string[] {
  if (!hasBarLine && leftDelim === '(' && rightDelim === ')') return command('\\binom', numer, denom);
  const bare = hasBarLine
    ? command('\\frac', numer, denom)
    : braced([...braced(inner(numer as Node)), ...command('\\atop', denom)]);
  if (leftDelim === null && rightDelim === null) return bare;
  return [
    `\\left${delimiter(leftDelim as string | null)}`,
    ...bare,
    `\\right${delimiter(rightDelim as string | null)}`,
  ];
}

/** Sub before super; empty ones go where another is left. */
function scripted({ base, sub, sup }: Node): string[] {
  const scripts = [
    ['_', sub],
    ['^', sup],
  ] as const;
  const written = scripts.filter(([, script]) => script).map(([mark, script]) => command(mark, script));
  const filled = written.filter((tokens) => tokens.length > 3);
  const kept = filled.length > 0 || !base ? filled : [];
  return [...scriptBase(base as Node | undefined, kept.length > 0), ...kept.flat()];
}

function scriptBase(base: Node | undefined, hasScripts: boolean): string[] {
  if (!base) return ['{', '}'];
  if (!hasScripts) return write(base);
  if (base.type === 'op' || base.type === 'operatorname') return operator(base, true);
  if (base.type !== 'ordgroup') return write(base);
  // Scripts of a group stand by its height, those of one symbol by the symbol's.
  const [only, ...more] = list(base.body);
  if (only && more.length === 0 && UNBRACED.has(only.type)) return scriptBase(only, true);
  return braced(expression(list(base.body)));
}

/** Without scripts nothing shows whether they would be limits. */
function operator(node: Node, hasScripts: boolean): string[] {
  const nameOf = (takesLimits: boolean): string => (takesLimits && hasScripts ? '\\operatorname*' : '\\operatorname');
  if (node.type === 'operatorname') return command(nameOf(node.alwaysHandleSupSub === true), node.body);
  if (typeof node.name !== 'string') {
    const body = list(node.body);
    const [only] = body;
    const kept = body.length === 1 ? keptName(only?.text) : undefined;
    const name = kept === undefined ? command('\\mathop', body) : [kept];
    return hasScripts ? [...name, ...limits(node, kept !== undefined)] : name;
  }
  const isIntegral = /^\\o?i{1,3}nt$/.test(node.name);
  if (node.symbol) return [named(node.name), ...(hasScripts ? limits(node, !isIntegral) : [])];
  // The named ones that take limits in display style are the starred ones.
  return [nameOf(node.limits === true), ...braced(node.name.slice(1).split(''))];
}

/** \limits or \nolimits where it says something else than the operator by itself. */
function limits(node: Node, usual: boolean): string[] {
  if (!node.alwaysHandleSupSub || node.limits === usual) return [];
  return [node.limits ? '\\limits' : '\\nolimits'];
}

function mathClass({ body, mclass }: Node): string[] {
  const [only, ...more] = list(body);
  if (only && more.length === 0) {
    if (only.type === 'font' && only.font === 'boldsymbol') return write(only);
    const base = only.base as Node | undefined;
    if (only.type === 'supsub' && base?.type === 'op' && base.suppressBaseShift !== undefined) {
      const name = only.sub ? '\\underset' : base.suppressBaseShift ? '\\overset' : '\\stackrel';
      return command(name, only.sub ?? only.sup, base.body);
    }
  }
  return command(`\\math${String(mclass).slice(1)}`, body);
}

const ENVIRONMENTS: Readonly<Record<string, string>> = {
  align: 'aligned',
  alignat: 'aligned',
  gather: 'gathered',
  small: 'smallmatrix',
};

interface Column {
  readonly type: 'align' | 'separator';
  readonly align?: string;
  readonly separator?: string;
}

function array(node: Node): string[] {
  const kind = node.colSeparationType as string | undefined;
  const name = kind === undefined ? 'array' : ENVIRONMENTS[kind];
  if (name === undefined) throw new UnknownNode(`array of ${kind}`);
  const rows = node.body as readonly (readonly Node[])[];
  const columns = (node.cols ?? rows[0]?.map(() => ({ type: 'align', align: 'c' })) ?? []) as readonly Column[];
  const lines = node.hLinesBeforeRow as readonly (readonly boolean[])[];
  const rules = (row: number): string[] => (lines[row] ?? []).map((dashed) => (dashed ? '\\hdashline' : '\\hline'));
  const out = [`\\begin{${name}}`];
  if (name === 'array') out.push(...braced(columns.map((column) => column.align ?? (column.separator as string))));
  for (const [r, row] of rows.entries()) {
    if (r > 0) out.push('\\\\');
    out.push(...rules(r));
    for (const [c, cell] of row.entries()) {
      if (c > 0) out.push('&');
      // Before a second column's relation KaTeX puts an empty group.
      const tokens = inner(content(cell));
      out.push(...(name === 'aligned' && c % 2 === 1 ? tokens.slice(2) : tokens));
    }
  }
  const last = rules(rows.length);
  if (last.length > 0) out.push('\\\\', ...last);
  return [...out, `\\end{${name}}`];
}

/** A cell without the style that its environment gave it. */
function content(cell: Node): Node {
  const [only, ...more] = list(cell.body);
  return cell.type === 'styling' && only?.type === 'ordgroup' && more.length === 0 ? only : cell;
}
