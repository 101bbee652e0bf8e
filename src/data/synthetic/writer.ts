// The grammar of arithmetic, expressions, sums, integrals, matrices, cases: one piece of formula after another, by the
// weights and symbols of a level. One spelling per visual form.
import type { Random } from '../../shared/random.ts';
import { braced, flat, join, named, type Piece, tall } from './piece.ts';
import { CHOICES, SYMBOLS } from './vocabulary.ts';

export type WriterLevel = keyof typeof SYMBOLS;

/** Functions whose name takes the power: sin² x. */
const SQUARED: ReadonlySet<string> = new Set(['\\sin', '\\cos', '\\tan', '\\cot']);

export class Writer {
  private readonly symbols: (typeof SYMBOLS)[WriterLevel];
  constructor(
    private readonly random: Random,
    private readonly level: WriterLevel,
  ) {
    this.symbols = SYMBOLS[level];
  }

  formula(): Piece {
    const kind = this.weighted(CHOICES.formula[this.level]);
    const depth = this.level === 'easy' ? 1 : this.level === 'medium' ? 2 : 3;
    switch (kind) {
      case 'arithmetic':
        return this.arithmetic();
      case 'relation':
        return join(this.expression(depth), flat(this.random.pick(this.symbols.relations)), this.expression(depth));
      case 'definition':
        return join(this.name(), flat('='), this.expression(depth));
      case 'chain':
        return join(
          this.expression(depth - 1),
          flat('='),
          this.expression(depth),
          flat('='),
          this.expression(depth - 1),
        );
      case 'matrix':
        return this.chance(0.5) ? join(this.capital(), flat('='), this.matrix()) : this.matrix();
      case 'cases':
        return join(this.name(), flat('='), this.cases());
      case 'aligned':
        return this.aligned(depth - 1);
      case 'sequence':
        return this.sequence();
      default:
        return this.expression(depth);
    }
  }

  /** Terms joined by signs. */
  private expression(depth: number, signed = true): Piece {
    const most = this.level === 'easy' ? 2 : 3;
    const count = 1 + this.random.int(most);
    const parts: Piece[] = [];
    if (signed && this.chance(0.06)) parts.push(flat('-'));
    for (let i = 0; i < count; i++) {
      if (i > 0) parts.push(flat(this.random.pick(this.symbols.joiners)));
      parts.push(this.term(depth));
    }
    return join(...parts);
  }

  private term(depth: number): Piece {
    if (depth <= 0) return this.chance(0.35) ? this.scripted() : this.simple();
    const inner = depth - 1;
    switch (this.weighted(CHOICES.term[this.level])) {
      case 'number':
        return this.number();
      case 'product':
        return join(this.chance(0.5) ? flat(String(2 + this.random.int(8))) : this.letter(), this.scripted());
      case 'scripted':
        return this.scripted();
      case 'fraction':
        return tall(join(flat('\\frac'), braced(this.argument(inner)), braced(this.argument(inner))));
      case 'root':
        return this.root(inner);
      case 'function':
        return this.functionOf(inner);
      case 'call':
        return this.call();
      case 'bracket':
        return this.bracket(inner);
      case 'absolute':
        return this.enclose('|', '|', this.argument(inner));
      case 'sum':
        return this.sum(inner);
      case 'integral':
        return this.integral(inner);
      case 'limit':
        return this.limit(inner);
      case 'accent':
        return this.accent();
      case 'derivative':
        return this.derivative();
      case 'binomial':
        return tall(join(flat('\\binom'), braced(this.simple()), braced(this.simple())));
      default:
        return this.simple();
    }
  }

  /** What stands in a fraction, under a root or in brackets. */
  private argument(depth: number, signed = true): Piece {
    if (depth <= 0 || this.level === 'easy') {
      return this.chance(0.6) ? this.simple() : join(this.simple(), flat(this.random.pick(['+', '-'])), this.simple());
    }
    return this.expression(depth - 1, signed);
  }

  private simple(): Piece {
    return this.chance(0.4) ? this.number() : this.letter();
  }

  private number(): Piece {
    const digits = this.weighted({ one: 6, two: 3, three: 1 });
    if (digits === 'one') return flat(String(this.random.int(10)));
    const out = [String(1 + this.random.int(9)), String(this.random.int(10))];
    if (digits === 'three') out.push(String(this.random.int(10)));
    if (this.chance(0.1)) out.splice(1, 0, '.');
    return flat(...out);
  }

  private letter(): Piece {
    if (this.chance(this.symbols.greekShare)) return flat(this.random.pick(this.symbols.greek));
    return flat(this.random.pick(this.chance(0.85) ? this.symbols.letters : this.symbols.capitals));
  }

  private capital(): Piece {
    return flat(this.random.pick(this.symbols.capitals));
  }

  private variable(): string {
    return this.random.pick(['x', 'y', 't', 'u', 'z']);
  }

  /** A letter with an index, a power, both or a prime. */
  private scripted(): Piece {
    const base = this.letter();
    const small = (): Piece => {
      if (this.level !== 'easy' && this.chance(0.25)) return join(this.letter(), flat('+'), this.number());
      if (this.level === 'hard' && this.chance(0.1)) return join(flat('-'), this.letter(), flat('^', '{', '2', '}'));
      return this.simple();
    };
    const index = (): Piece => join(flat('_'), braced(this.chance(0.5) ? this.index() : small()));
    switch (this.weighted({ power: 5, index: 4, both: this.level === 'easy' ? 0.5 : 2, prime: 0.5 })) {
      case 'power':
        return join(base, flat('^'), braced(this.chance(0.4) ? flat(this.random.pick(['2', '3', 'n'])) : small()));
      case 'index':
        return join(base, index());
      case 'both':
        return join(base, index(), flat('^'), braced(this.simple()));
      default:
        return join(base, flat('^', '{', '\\prime', '}'));
    }
  }

  private index(): Piece {
    return flat(this.random.pick(['i', 'j', 'k', 'n', 'm', '0', '1', '2']));
  }

  private root(depth: number): Piece {
    const order = this.chance(0.2) ? flat('[', this.random.pick(['3', '4', 'n']), ']') : flat();
    return tall(join(flat('\\sqrt'), order, braced(this.argument(depth))));
  }

  private functionOf(depth: number): Piece {
    const name = this.random.pick(this.symbols.functions);
    const parts: Piece[] = [named(name, false)];
    if (name === '\\log' && this.chance(0.5)) parts.push(flat('_', '{', this.random.pick(['2', '3', 'a']), '}'));
    else if (SQUARED.has(name) && this.chance(0.25)) parts.push(flat('^', '{', '2', '}'));
    if (this.chance(0.6)) parts.push(this.letter());
    else parts.push(this.enclose('(', ')', this.argument(depth)));
    return join(...parts);
  }

  private call(): Piece {
    const name = this.random.pick(['f', 'g', 'h', 'F', 'P']);
    const args = this.chance(0.2) ? flat('x', ',', 'y') : flat(this.variable());
    return join(flat(name, '('), args, flat(')'));
  }

  private name(): Piece {
    return this.chance(0.5) ? this.call() : this.chance(0.5) ? this.letter() : this.scripted();
  }

  private bracket(depth: number): Piece {
    const inside = join(this.simple(), flat(this.random.pick(['+', '-'])), this.argument(depth, false));
    const [open, close] = this.chance(0.85) ? ['(', ')'] : ['[', ']'];
    const group = this.enclose(open!, close!, inside);
    return this.chance(0.4) ? join(group, flat('^'), braced(flat(this.random.pick(['2', '3', 'n'])))) : group;
  }

  /** Brackets grow exactly when the content is tall, so each picture has one spelling. */
  private enclose(open: string, close: string, inside: Piece): Piece {
    if (!inside.tall) return join(flat(open), inside, flat(close));
    return tall(join(flat(`\\left${open}`), inside, flat(`\\right${close}`)));
  }

  private sum(depth: number): Piece {
    const sign = this.chance(0.8) ? '\\sum' : '\\prod';
    const index = this.random.pick(['i', 'k', 'n', 'j']);
    const from = flat('_', '{', index, '=', this.random.pick(['0', '1']), '}');
    const to = flat('^', '{', this.random.pick(index === 'n' ? ['\\infty', 'N'] : ['n', 'N', '\\infty']), '}');
    const body =
      depth > 0 && this.chance(0.4)
        ? this.term(depth - 1)
        : join(this.letter(), flat(this.random.pick(['_', '^']), '{', index, '}'));
    return tall(join(flat(sign), from, to, body));
  }

  private integral(depth: number): Piece {
    const variable = this.variable();
    const sign = this.level === 'hard' && this.chance(0.15) ? '\\oint' : '\\int';
    const bounds = this.random.pick([
      [],
      ['_', '{', '0', '}', '^', '{', '1', '}'],
      ['_', '{', 'a', '}', '^', '{', 'b', '}'],
      ['_', '{', '0', '}', '^', '{', '\\infty', '}'],
      ['_', '{', '-', '\\infty', '}', '^', '{', '\\infty', '}'],
      ['_', '{', '0', '}', '^', '{', '\\pi', '}'],
    ]);
    const body = this.random.pick([
      () => flat('f', '(', variable, ')'),
      () => flat(variable, '^', '{', String(2 + this.random.int(5)), '}'),
      () => flat('e', '^', '{', '-', variable, '}'),
      () => join(named(this.random.pick(['\\sin', '\\cos']), false), flat(variable)),
      () => (depth > 0 ? this.term(depth - 1) : flat(variable)),
    ])();
    return tall(join(flat(sign, ...(sign === '\\oint' ? ['_', '{', 'C', '}'] : bounds)), body, flat('d', variable)));
  }

  private limit(depth: number): Piece {
    const variable = this.random.pick(['x', 'n', 'h', 't']);
    const target = this.random.pick(variable === 'n' ? ['\\infty'] : ['0', '\\infty', 'a', '1']);
    const body =
      depth > 0 && this.chance(0.5)
        ? this.term(depth - 1)
        : this.random.pick([flat('f', '(', variable, ')'), flat('a', '_', '{', variable, '}')]);
    return tall(join(named('\\lim', true), flat('_', '{', variable, '\\rightarrow', target, '}'), body));
  }

  private accent(): Piece {
    if (this.chance(0.25)) {
      const wide = this.random.pick(['\\overline', '\\overrightarrow']);
      const [a, b] = this.random.shuffled(['A', 'B', 'C', 'D']);
      return flat(wide, '{', a!, b!, '}');
    }
    const accent = this.random.pick(this.symbols.accents);
    return flat(accent, '{', this.random.pick(['a', 'b', 'x', 'y', 'u', 'v', 'p', 'A']), '}');
  }

  private derivative(): Piece {
    const d = this.chance(0.5) ? 'd' : '\\partial';
    const top = this.random.pick(['f', 'y', 'u', 'g']);
    const bottom = this.random.pick(['x', 't', 'z']);
    if (this.level !== 'easy' && this.chance(0.3)) {
      const power = ['^', '{', '2', '}'];
      return tall(flat('\\frac', '{', d, ...power, top, '}', '{', d, bottom, ...power, '}'));
    }
    return tall(flat('\\frac', '{', d, top, '}', '{', d, bottom, '}'));
  }

  private arithmetic(): Piece {
    const parts: Piece[] = [this.number()];
    const count = 1 + this.random.int(this.level === 'easy' ? 3 : 5);
    for (let i = 0; i < count; i++) {
      parts.push(flat(this.random.pick(['+', '-', '\\times', '\\div'])));
      parts.push(this.chance(0.15) ? this.bracket(0) : this.number());
    }
    parts.push(flat('='), this.number());
    return join(...parts);
  }

  /** School sums: numbers, squares and fractions of them, joined by signs. */
  sums(): Piece {
    const term = (): Piece => {
      switch (this.weighted({ number: 6, fraction: 1.5, square: 1 })) {
        case 'fraction':
          return join(flat('\\frac'), braced(this.number()), braced(this.number()));
        case 'square':
          return join(this.number(), flat('^'), braced(flat(this.random.pick(['2', '3']))));
        default:
          return this.number();
      }
    };
    const sign = (): Piece => flat(this.random.pick(['+', '-', '\\times', '\\div']));
    const parts = [term()];
    for (let i = 1 + this.random.int(2); i > 0; i--) parts.push(sign(), term());
    return join(...parts, flat('='), this.number());
  }

  private matrix(): Piece {
    const rows = 2 + this.random.int(2);
    const columns = this.level === 'medium' ? 2 : 2 + this.random.int(2);
    const cell = (): Piece => (this.chance(0.15) ? this.scripted() : this.simple());
    const body: Piece[] = [];
    for (let r = 0; r < rows; r++) {
      if (r > 0) body.push(flat('\\\\'));
      for (let c = 0; c < columns; c++) {
        if (c > 0) body.push(flat('&'));
        body.push(cell());
      }
    }
    const alignment = Array.from({ length: columns }, () => 'c');
    const inside = tall(join(flat('\\begin{array}', '{', ...alignment, '}'), ...body, flat('\\end{array}')));
    const [open, close] = this.random.pick([
      ['(', ')'],
      ['[', ']'],
      ['|', '|'],
    ] as const);
    return this.enclose(open, close, inside);
  }

  private cases(): Piece {
    const row = (relation: string): Piece =>
      join(this.chance(0.5) ? this.scripted() : this.simple(), flat(',', '&', 'x', relation, '0'));
    const [first, second] = this.random.pick([
      ['>', '\\leq'],
      ['\\geq', '<'],
      ['=', '\\neq'],
    ] as const);
    const rows = join(row(first), flat('\\\\'), row(second));
    return tall(join(flat('\\left\\{', '\\begin{array}', '{', 'l', 'l', '}'), rows, flat('\\end{array}', '\\right.')));
  }

  private aligned(depth: number): Piece {
    const lines = 2 + this.random.int(2);
    const parts: Piece[] = [flat('\\begin{aligned}'), this.name()];
    for (let i = 0; i < lines; i++) {
      if (i > 0) parts.push(flat('\\\\'));
      parts.push(flat('&', '='), this.expression(depth));
    }
    return tall(join(...parts, flat('\\end{aligned}')));
  }

  private sequence(): Piece {
    const name = this.random.pick(['a', 'b', 'x', 'y']);
    const item = (index: string): string[] => [name, '_', '{', index, '}'];
    const comma = this.chance(0.5);
    const between = comma ? [','] : ['+'];
    const dots = comma ? '\\ldots' : '\\cdots';
    return flat(...item('1'), ...between, ...item('2'), ...between, dots, ...between, ...item('n'));
  }

  private chance(share: number): boolean {
    return this.random.float() < share;
  }

  private weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.random.float() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return entries[0]![0];
  }
}
