// Random formulas from a small grammar, as tokens joined by single spaces, with one spelling for each visual form.
import { Random } from '../../shared/random.ts';

export const LEVELS = ['easy', 'medium', 'hard'] as const;
export type Level = (typeof LEVELS)[number];

const LATIN = [...'abcdefghijkmnpqrstuvwxyz'];
const CAPITALS = [...'ABCDEFGHLMNPRSTUVX'];
const GREEK =
  'alpha beta gamma delta epsilon theta lambda mu nu pi rho sigma tau phi psi omega Gamma Delta Sigma Phi Omega'
    .split(' ')
    .map((name) => `\\${name}`);
const OPERATORS = ['+', '-', '\\times', '\\cdot', '\\pm'];
const RELATIONS = ['=', '<', '>', '\\leq', '\\geq', '\\neq', '\\approx', '\\in', '\\to'];
const FUNCTIONS = ['\\sin', '\\cos', '\\tan', '\\log', '\\ln', '\\exp', '\\max', '\\min', '\\det'];
const ACCENTS = ['\\hat', '\\bar', '\\tilde', '\\vec', '\\dot'];
const FONTS = ['\\mathbf', '\\mathcal'];
const DELIMITERS = [
  ['(', ')'],
  ['[', ']'],
  ['\\{', '\\}'],
  ['|', '|'],
] as const;

class Grammar {
  constructor(
    private readonly random: Random,
    private readonly level: Level,
  ) {}

  private chance(p: number): boolean {
    return this.random.float() < p;
  }

  private number(): string {
    const digits = this.chance(0.7) ? 1 : 2;
    const first = String(1 + this.random.int(9));
    return digits === 1 ? String(this.random.int(10)) : `${first} ${this.random.int(10)}`;
  }

  private symbol(): string {
    const r = this.random.float();
    if (r < 0.5) return this.random.pick(LATIN);
    if (r < 0.65) return this.random.pick(CAPITALS);
    return r < 0.85 ? this.random.pick(GREEK) : this.number();
  }

  /** One thing that can carry scripts. */
  private atom(): string {
    if (this.level !== 'easy') {
      if (this.chance(0.06)) return `${this.random.pick(ACCENTS)} { ${this.random.pick(LATIN)} }`;
      if (this.chance(0.04)) return `${this.random.pick(FONTS)} { ${this.random.pick(CAPITALS)} }`;
      if (this.chance(0.02)) return '\\infty';
    }
    return this.symbol();
  }

  private scripted(depth: number): string {
    const base = this.atom();
    const r = this.random.float();
    if (r < 0.6 || /^\d/.test(base)) return base;
    const inner = () => (depth > 1 && this.chance(0.3) ? this.sum(1, 2) : this.symbol());
    if (r < 0.8) return `${base} ^ { ${inner()} }`;
    return r < 0.95 ? `${base} _ { ${inner()} }` : `${base} _ { ${inner()} } ^ { ${inner()} }`;
  }

  private big(depth: number): string {
    const kind = this.random.int(4);
    const index = this.random.pick(['i', 'j', 'k', 'n']);
    const body = this.term(depth - 1);
    if (kind === 0)
      return `\\sum _ { ${index} = ${this.number()} } ^ { ${this.chance(0.5) ? '\\infty' : 'N'} } ${body}`;
    if (kind === 1) return `\\prod _ { ${index} = 1 } ^ { n } ${body}`;
    if (kind === 2)
      return `\\int _ { ${this.symbol()} } ^ { ${this.symbol()} } ${body} d ${this.random.pick(['x', 't', 's'])}`;
    return `\\lim _ { ${this.random.pick(['x', 't'])} \\to ${this.chance(0.5) ? '0' : '\\infty'} } ${body}`;
  }

  private matrix(): string {
    const kind = this.random.pick(['pmatrix', 'bmatrix', 'matrix']);
    const [rows, columns] = [1 + this.random.int(2) + 1, 1 + this.random.int(2) + 1];
    const row = () => Array.from({ length: columns }, () => this.symbol()).join(' & ');
    return `\\begin{${kind}} ${Array.from({ length: rows }, row).join(' \\\\ ')} \\end{${kind}}`;
  }

  private term(depth: number): string {
    if (depth <= 0) return this.scripted(0);
    const r = this.random.float();
    if (r < 0.14) return `\\frac { ${this.sum(depth - 1, 2)} } { ${this.sum(depth - 1, 2)} }`;
    if (r < 0.22) return `\\sqrt { ${this.sum(depth - 1, 2)} }`;
    if (r < 0.3) return `${this.random.pick(FUNCTIONS)} ${this.scripted(depth - 1)}`;
    if (this.level !== 'easy' && r < 0.36) {
      const [open, close] = this.random.pick(DELIMITERS);
      return `\\left ${open} ${this.sum(depth - 1, 2)} \\right ${close}`;
    }
    if (r < 0.42) return `( ${this.sum(depth - 1, 2)} )`;
    if (this.level !== 'easy' && r < 0.5) return this.big(depth);
    if (this.level === 'hard' && r < 0.54) return this.matrix();
    return this.scripted(depth);
  }

  private sum(depth: number, most: number): string {
    const parts = [this.term(depth)];
    const count = this.random.int(most);
    for (let i = 0; i < count; i++)
      parts.push(this.random.pick(OPERATORS), this.term(depth - (this.chance(0.5) ? 1 : 0)));
    return parts.join(' ');
  }

  private equation(depth: number): string {
    const left = this.sum(depth, 2);
    return this.chance(0.6) ? `${left} ${this.random.pick(RELATIONS)} ${this.sum(depth, 2)}` : left;
  }

  formula(): string {
    if (this.level === 'easy') return this.chance(0.5) ? this.equation(1) : this.sum(1, 3);
    if (this.level === 'hard' && this.chance(0.08))
      return `f ( x ) = \\begin{cases} ${this.sum(1, 2)} & x ${this.random.pick(['<', '\\geq'])} 0 \\\\ ${this.sum(1, 2)} & x = 0 \\end{cases}`;
    if (this.level === 'hard' && this.chance(0.06))
      return `\\begin{aligned} ${this.sum(1, 2)} & = ${this.sum(1, 2)} \\\\ & = ${this.sum(1, 2)} \\end{aligned}`;
    return this.equation(this.level === 'hard' ? 3 : 2);
  }
}

/** Tokens at most, by level. */
const LONGEST: Record<Level, number> = { easy: 24, medium: 48, hard: 96 };

/** The formula of (seed, index). */
export function randomFormula(seed: number, index: number, level: Level): string {
  for (let attempt = 0; ; attempt++) {
    const formula = new Grammar(Random.from(seed, index, attempt, 1), level).formula();
    if (formula.split(' ').length <= LONGEST[level]) return formula;
  }
}
