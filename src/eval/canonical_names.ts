// Names of canonical tokens: which LaTeX defines as the same, and the commands that KaTeX must not spell out.

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
export const named = (name: string): string => SAME.get(name) ?? name;

/** Other names of delimiters that grow: left or right is said before them. */
const SAME_DELIMITERS = new Map(
  Object.entries({
    '\\lvert': '|',
    '\\rvert': '|',
    '\\lVert': '\\Vert',
    '\\rVert': '\\Vert',
    '<': '\\langle',
    '>': '\\rangle',
  }),
);
/** The name of a delimiter that grows; a missing one is a point. */
export const delimiter = (name: string | null): string => SAME_DELIMITERS.get(name ?? '') ?? named(name ?? '.');

/** Symbols that \not strikes out under a name of their own. */
export const SAME_NEGATED = new Map(Object.entries({ '=': '\\neq', '\\in': '\\notin' }));

/** Accents of text, as those of formulas. */
export const TEXT_ACCENTS: Readonly<Record<string, string>> = {
  "\\'": '\\acute',
  '\\`': '\\grave',
  '\\^': '\\hat',
  '\\~': '\\tilde',
  '\\=': '\\bar',
  '\\u': '\\breve',
  '\\.': '\\dot',
  '\\"': '\\ddot',
  '\\r': '\\mathring',
  '\\v': '\\check',
};

const words = (text: string): string[] => text.split(' ').map((word) => `\\${word}`);

// KaTeX spells these out while it parses. Each stands for one private character instead, and is written back as it came.
const SYMBOLS = [
  ...words('ne neq not notin notni cdots vdots bmod mod pmod pod'),
  ...words(', : ; ! > thinspace medspace thickspace negthinspace negmedspace negthickspace quad qquad enspace enskip'),
  ...words(
    'colon coloneqq imath jmath varGamma varDelta varTheta varLambda varXi varPi varSigma varUpsilon varPhi varPsi',
  ),
  ...words('varOmega boxed mathstrut copyright TeX LaTeX dddot ddddot ngeqq ngeqslant nleqq nleqslant nshortmid'),
  ...words('nshortparallel nsubseteqq nsupseteqq varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq'),
];
/** Those of them that take an argument. */
export const ARGUED = new Set(words('boxed dddot ddddot mod pmod pod'));
/** The same for operators, which take limits. */
const OPERATORS = words('limsup liminf argmin argmax injlim projlim varlimsup varliminf varinjlim varprojlim plim');

// In a plane for private use: KaTeX takes these for letters, and formulas have none.
const FIRST_PRIVATE = 0xf0000;
const KEPT = [...SYMBOLS, ...OPERATORS];
const privateOf = (name: string): string => String.fromCodePoint(FIRST_PRIVATE + KEPT.indexOf(name));
export const MACROS: Readonly<Record<string, string>> = Object.fromEntries([
  ...SYMBOLS.map((name) => [name, privateOf(name)]),
  ...OPERATORS.map((name) => [name, `\\mathop{${privateOf(name)}}`]),
]);
/** The command for which KaTeX read a private character. */
export const keptName = (text = ''): string | undefined => KEPT[(text.codePointAt(0) ?? 0) - FIRST_PRIVATE];
export const symbol = (text: string): string => named(keptName(text) ?? text);
