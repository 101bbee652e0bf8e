// What the synthetic grammar may write at each level: symbols, and how often each construction comes.
// Letters that a reader cannot tell from a digit or from another letter (l, o, O, omicron, Upsilon) are left out.

interface Symbols {
  readonly letters: readonly string[];
  readonly capitals: readonly string[];
  readonly greek: readonly string[];
  readonly greekShare: number;
  readonly joiners: readonly string[];
  readonly relations: readonly string[];
  readonly functions: readonly string[];
  readonly accents: readonly string[];
}

const LETTERS = [...'abcdefghijkmnpqrstuvwxyz'];
const CAPITALS = [...'ABCDEFGHKLMNPQRSTUVXYZ'];
const GREEK = ['\\alpha', '\\beta', '\\gamma', '\\theta', '\\pi', '\\lambda', '\\mu', '\\sigma', '\\omega'];
const MORE_GREEK = ['\\delta', '\\epsilon', '\\eta', '\\rho', '\\tau', '\\phi', '\\psi', '\\xi', '\\Delta', '\\Omega'];
const RARE_GREEK = ['\\varphi', '\\zeta', '\\Gamma', '\\Phi', '\\Psi', '\\Lambda', '\\Theta'];
const FUNCTIONS = ['\\sin', '\\cos', '\\tan', '\\ln', '\\log'];

export const SYMBOLS: Readonly<Record<'easy' | 'medium' | 'hard', Symbols>> = {
  easy: {
    letters: [...'aabbccdefghikmnnpqrstuvxxxyyyz'],
    capitals: CAPITALS,
    greek: GREEK,
    greekShare: 0.12,
    joiners: ['+', '+', '-', '-', '\\times', '\\cdot'],
    relations: ['=', '=', '=', '<', '>', '\\leq', '\\geq', '\\neq'],
    functions: FUNCTIONS,
    accents: ['\\bar', '\\vec', '\\hat', '\\dot'],
  },
  medium: {
    letters: LETTERS,
    capitals: CAPITALS,
    greek: [...GREEK, ...MORE_GREEK],
    greekShare: 0.2,
    joiners: ['+', '+', '+', '-', '-', '-', '\\times', '\\cdot', '\\pm'],
    relations: ['=', '=', '=', '<', '>', '\\leq', '\\geq', '\\neq', '\\approx', '\\rightarrow', '\\in'],
    functions: [...FUNCTIONS, '\\cot', '\\arctan', '\\max', '\\min'],
    accents: ['\\bar', '\\vec', '\\hat', '\\dot', '\\tilde', '\\ddot'],
  },
  hard: {
    letters: LETTERS,
    capitals: CAPITALS,
    greek: [...GREEK, ...MORE_GREEK, ...RARE_GREEK],
    greekShare: 0.25,
    joiners: ['+', '+', '+', '-', '-', '-', '\\times', '\\cdot', '\\pm', '\\oplus', '\\otimes'],
    relations: ['=', '=', '=', '<', '\\leq', '\\geq', '\\neq', '\\approx', '\\equiv', '\\sim', '\\subset', '\\in'],
    functions: [...FUNCTIONS, '\\cot', '\\arctan', '\\arcsin', '\\exp', '\\max', '\\min', '\\det'],
    accents: ['\\bar', '\\vec', '\\hat', '\\dot', '\\tilde', '\\ddot'],
  },
};

/** The functions of all levels: they are written as \operatorname and their letters. */
export const FUNCTION_NAMES: ReadonlySet<string> = new Set(SYMBOLS.hard.functions.concat(SYMBOLS.medium.functions));

const { letters, capitals, greek, joiners, relations, functions } = SYMBOLS.medium;
/** What the level tiny strews about, each as often as the other but the digits, which come thrice. */
export const SINGLE_SYMBOLS: readonly string[] = [
  ...new Set([...letters, ...capitals, ...greek, ...joiners, ...relations, ...functions]),
  ...'012345678901234567890123456789()[]|,',
  ...['\\infty', '\\partial', '\\sum', '\\int', '\\prod', '\\prime'],
];

interface FormulaWeights {
  readonly arithmetic: number;
  readonly expression: number;
  readonly relation: number;
  readonly definition: number;
  readonly chain: number;
  readonly matrix: number;
  readonly cases: number;
  readonly aligned: number;
  readonly sequence: number;
}

interface TermWeights {
  readonly simple: number;
  readonly number: number;
  readonly product: number;
  readonly scripted: number;
  readonly fraction: number;
  readonly root: number;
  readonly function: number;
  readonly call: number;
  readonly bracket: number;
  readonly absolute: number;
  readonly sum: number;
  readonly integral: number;
  readonly limit: number;
  readonly accent: number;
  readonly derivative: number;
  readonly binomial: number;
}

/** Relative weights. */
export const CHOICES: {
  readonly formula: Readonly<Record<'easy' | 'medium' | 'hard', FormulaWeights>>;
  readonly term: Readonly<Record<'easy' | 'medium' | 'hard', TermWeights>>;
} = {
  formula: {
    easy: {
      arithmetic: 3,
      expression: 4,
      relation: 4,
      definition: 3,
      chain: 0,
      matrix: 0,
      cases: 0,
      aligned: 0,
      sequence: 0,
    },
    medium: {
      arithmetic: 1,
      expression: 4,
      relation: 4,
      definition: 3,
      chain: 1,
      matrix: 0.8,
      cases: 0.5,
      aligned: 0,
      sequence: 0.3,
    },
    hard: {
      arithmetic: 0.2,
      expression: 3,
      relation: 5,
      definition: 3,
      chain: 2,
      matrix: 1,
      cases: 0.7,
      aligned: 1,
      sequence: 0.1,
    },
  },
  term: {
    easy: {
      simple: 4,
      number: 2,
      product: 3,
      scripted: 5,
      fraction: 3,
      root: 2,
      function: 2,
      call: 1.5,
      bracket: 1.5,
      absolute: 0.3,
      sum: 0.7,
      integral: 0.7,
      limit: 0.5,
      accent: 0.7,
      derivative: 0.7,
      binomial: 0,
    },
    medium: {
      simple: 2,
      number: 1,
      product: 3,
      scripted: 5,
      fraction: 4,
      root: 2,
      function: 2.5,
      call: 1.5,
      bracket: 2,
      absolute: 0.5,
      sum: 1.5,
      integral: 1.5,
      limit: 0.8,
      accent: 0.8,
      derivative: 1,
      binomial: 0.2,
    },
    hard: {
      simple: 1,
      number: 0.6,
      product: 2,
      scripted: 4,
      fraction: 5,
      root: 2,
      function: 2.5,
      call: 1,
      bracket: 3,
      absolute: 0.6,
      sum: 2,
      integral: 2,
      limit: 0.8,
      accent: 0.8,
      derivative: 1,
      binomial: 0.3,
    },
  },
};
