// Formulas as canonical tokens: parsed by KaTeX and written again, as im2markup's preprocess_latex.js does
// (github.com/harvardnlp/im2markup), so that spellings with one picture become one. CANONICAL tells the rules.
import { type Node, parseFormula, stripped } from './katex.ts';

/** The name and the rules of `canonicalTokens`, for printing beside a number. */
export const CANONICAL =
  'KaTeX parse and re-emit, as im2markup: one token a symbol, digit and brace; braces around every argument and script, ' +
  'sub before super; primes are superscripts; \\over, \\dfrac, \\tfrac and \\cfrac are \\frac; \\sin is \\operatorname { s i n }; ' +
  '\\text, \\mbox, \\hbox and \\rm are \\mathrm, other old font switches their \\math… command; names that LaTeX defines ' +
  'as the same are one (\\le \\leq, \\to \\rightarrow, \\vert |, …); matrix, cases and their kin are \\left…, array, \\right…; ' +
  'braces around one symbol or fraction, colours, gaps of rows, comments, \\label, $ and equation environments go. Where KaTeX cannot parse, the ' +
  'commands and characters of the text stand as they are, but for comments, \\label, $ and the same names';

export interface Canonical {
  readonly tokens: readonly string[];
  /** whether KaTeX parses the formula; where it does not, the tokens are the text's own */
  readonly parses: boolean;
}

/** Other names of one symbol, as LaTeX's kernel and plain TeX define them. */
const SAME = new Map(
  Object.entries({
    '\\ne': '\\neq',
    '\\le': '\\leq',
    '\\ge': '\\geq',
    '\\to': '\\rightarrow',
    '\\gets': '\\leftarrow',
    '\\owns': '\\ni',
    '\\land': '\\wedge',
    '\\lor': '\\vee',
    '\\lnot': '\\neg',
    '\\lbrace': '\\{',
    '\\rbrace': '\\}',
    '\\lbrack': '[',
    '\\rbrack': ']',
    '\\vert': '|',
    '\\|': '\\Vert',
    '\\ast': '*',
    '\\lt': '<',
    '\\gt': '>',
    '\\thinspace': '\\,',
    '\\negthinspace': '\\!',
    '\\medspace': '\\:',
    '\\>': '\\:',
    '\\thickspace': '\\;',
    '\\ ': '~',
    '\\space': '~',
    '\\nobreakspace': '~',
  }),
);
const named = (name: string): string => SAME.get(name) ?? name;

const words = (text: string): string[] => text.split(' ').map((word) => `\\${word}`);

// KaTeX spells these out while it parses. Each stands for one private character instead, and is written back as it came.
const SYMBOLS = [
  ...words(
    'ne neq not notin notni dots dotsc dotsb dotsm dotsi dotso cdots vdots iff implies impliedby bmod mod pmod pod',
  ),
  ...words(', : ; ! > thinspace medspace thickspace negthinspace negmedspace negthickspace quad qquad enspace enskip'),
  ...words(
    'colon coloneqq imath jmath varGamma varDelta varTheta varLambda varXi varPi varSigma varUpsilon varPhi varPsi',
  ),
  ...words('varOmega boxed mathstrut copyright TeX LaTeX dddot ddddot ngeqq ngeqslant nleqq nleqslant nshortmid'),
  ...words('nshortparallel nsubseteqq nsupseteqq varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq'),
];
/** The same for operators, which take limits. */
const OPERATORS = words('limsup liminf argmin argmax injlim projlim varlimsup varliminf varinjlim varprojlim plim');

// In a plane for private use: KaTeX takes these for letters, and formulas have none.
const FIRST_PRIVATE = 0xf0000;
const KEPT = [...SYMBOLS, ...OPERATORS];
const privateOf = (name: string): string => String.fromCodePoint(FIRST_PRIVATE + KEPT.indexOf(name));
const MACROS: Readonly<Record<string, string>> = Object.fromEntries([
  ...SYMBOLS.map((name) => [name, privateOf(name)]),
  ...OPERATORS.map((name) => [name, `\\mathop{${privateOf(name)}}`]),
]);
const keptName = (text = ''): string | undefined => KEPT[(text.codePointAt(0) ?? 0) - FIRST_PRIVATE];
const symbol = (text: string): string => named(keptName(text) ?? text);

/** The formula as canonical tokens. */
export function canonicalTokens(formula: string): Canonical {
  const tree = parseFormula(formula, MACROS);
  try {
    if (tree) return { tokens: expression(tree), parses: true };
  } catch (error) {
    if (!(error instanceof UnknownNode)) throw error;
  }
  // A formula that KaTeX draws and this file cannot write counts as one that parses.
  return { tokens: (stripped(formula).match(LEXEME) ?? []).map(named), parses: tree !== null };
}

class UnknownNode extends Error {}

const LEXEME = /\\(?:begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+\*?|\\.|\S/gsu;

const expression = (nodes: readonly Node[]): string[] => nodes.flatMap(write);

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
      const [only, ...more] = list(body);
      if (only && more.length === 0 && UNBRACED.has(only.type)) return write(only);
      return braced(expression(list(body)));
    }
    case 'supsub':
      return [
        ...(node.base ? write(node.base as Node) : ['{', '}']),
        ...(node.sub ? command('_', node.sub) : []),
        ...(node.sup ? command('^', node.sup) : []),
      ];
    case 'genfrac':
      return fraction(node);
    case 'sqrt':
      return node.index
        ? ['\\sqrt', '[', ...inner(node.index as Node), ']', ...braced(inner(body as Node))]
        : command('\\sqrt', body);
    case 'op':
      return operator(node);
    case 'operatorname':
      return command(node.alwaysHandleSupSub ? '\\operatorname*' : '\\operatorname', body);
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
        `\\left${named(node.left as string)}`,
        ...expression(list(body)),
        `\\right${named(node.right as string)}`,
      ];
    case 'middle':
      return [`\\middle${named(node.delim as string)}`];
    case 'delimsizing':
      return [`${BIG[node.size as number]}${BIG_SIDE[node.mclass as string]}`, named(node.delim as string)];
    case 'array':
      return array(node);
    case 'accent':
    case 'accentUnder':
    case 'horizBrace':
      return command(label, node.base);
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
      const nodes = list(body);
      // \dfrac and its kin: a fraction of its own size.
      if (nodes.length === 1 && nodes[0]?.type === 'genfrac') return write(nodes[0]);
      return [`\\${String(node.style)}style`, ...expression(nodes)];
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
  const delimiter = (side: unknown): string => named((side as string | null) ?? '.');
  return [`\\left${delimiter(leftDelim)}`, ...bare, `\\right${delimiter(rightDelim)}`];
}

function operator(node: Node): string[] {
  if (typeof node.name !== 'string') {
    const body = list(node.body);
    const [only] = body;
    const kept = body.length === 1 ? keptName(only?.text) : undefined;
    return [...(kept === undefined ? command('\\mathop', body) : [kept]), ...limits(node, kept !== undefined)];
  }
  const isIntegral = /^\\o?i{1,3}nt$/.test(node.name);
  if (node.symbol) return [named(node.name), ...limits(node, !isIntegral)];
  // The named ones that take limits in display style are the starred ones.
  return [node.limits ? '\\operatorname*' : '\\operatorname', ...braced(node.name.slice(1).split(''))];
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
