// Learns the words of a LaTeX tokenizer from formulas in canonical tokens: every token, and phrases of up to four that
// are frequent and drawn as one thing: structure with at most one symbol in it ("_ { i }", "} ^ {", "\mathcal { F }").
// Candidates are pruned by how often the tokenizer, which takes the longest word, really writes them.

/** Canonical tokens of a phrase, at most. */
const MAX_TOKENS = 4;
/** A named operator is one sign to the eye, however many its letters. */
const OPERATOR = /\\operatorname\*? \{ [A-Za-z](?: [A-Za-z]){0,11} \}/g;
const MIN_COUNT = 10;
/** Candidates at first, as a multiple of the phrases wanted, and the share of them that outlives a round. */
const CANDIDATES = 8;
const SURVIVORS = 0.6;

/** Tokens that draw nothing by themselves: they place or dress others. */
const STRUCTURE =
  /^(?:[{}_^&]|\\\\|\\(?:frac|sqrt|binom|operatorname\*?|math[a-z]+|boldsymbol|(?:over|under)line|bar|hat|tilde|vec|dot|ddot|check|wide(?:hat|tilde)|(?:begin|end)\{.*\}))$/;

/** The words to add to `given`: all tokens, named operators, and as many phrases as make `size` of all, sorted. */
export function learnWords(formulas: readonly string[], size: number, given: readonly string[] = []): string[] {
  const known = new Set(given);
  const words = new Set<string>();
  const operators = new Map<string, number>();
  for (const formula of formulas) {
    for (const token of formula.split(' ')) if (token !== '') words.add(token);
    for (const [name] of formula.matchAll(OPERATOR)) increase(operators, name);
  }
  for (const [name, count] of operators) if (count >= MIN_COUNT) words.add(name);
  const lines = formulas.map((formula) =>
    formula.replace(OPERATOR, (name) => (words.has(name) ? BOUNDARY : name)).split(' '),
  );
  for (const word of known) words.delete(word);
  for (const phrase of new Phrases(lines).best(size - known.size - words.size)) words.add(phrase);
  return [...words].sort();
}

/** Stands for what no phrase reaches across, as a token and as its number. */
const BOUNDARY = '';
const BOUNDARY_NUMBER = 0;

class Phrases {
  private readonly tokens: readonly string[];
  /** the lines as numbers of tokens, each closed by the boundary's */
  private readonly text: Uint32Array;
  private readonly structure: readonly boolean[];
  /** tokens whose argument must follow */
  private readonly open: readonly boolean[];
  private readonly operator: readonly boolean[];

  constructor(lines: readonly (readonly string[])[]) {
    const numbers = new Map([[BOUNDARY, BOUNDARY_NUMBER]]);
    const text = lines.flatMap((line) =>
      [...line, BOUNDARY].map((token) => {
        const number = numbers.get(token) ?? numbers.size;
        numbers.set(token, number);
        return number;
      }),
    );
    this.text = Uint32Array.from(text);
    this.tokens = [...numbers.keys()];
    this.structure = this.tokens.map((token) => STRUCTURE.test(token));
    this.open = this.structure.map(
      (is, i) => is && !/^(?:[{}&]|\\\\|\\(?:begin|end).*)$/.test(this.tokens[i] as string),
    );
    this.operator = this.tokens.map((token) => token.startsWith('\\operatorname'));
  }

  /** The phrases that spare most words of the text, the best first. */
  best(size: number): string[] {
    if (size <= 0) return [];
    let kept = ranked(this.candidates(), size * CANDIDATES);
    for (;;) {
      const used = this.usage(new Set(kept));
      const most = Math.max(size, Math.floor(kept.length * SURVIVORS));
      const next = ranked(used, most);
      if (kept.length <= size) return next.map((key) => this.spell(key));
      kept = next;
    }
  }

  /** How often each possible phrase is there; overlapping ones all count. */
  private candidates(): Map<number, number> {
    const counts = new Map<number, number>();
    for (let i = 0; i < this.text.length; i++) {
      let key = 0;
      let symbols = 0;
      let afterSymbol = false;
      for (let n = 1; n <= MAX_TOKENS; n++) {
        const token = this.text[i + n - 1] ?? BOUNDARY_NUMBER;
        // An operator begins a phrase, or the word of its whole name could not.
        if (token === BOUNDARY_NUMBER || (n > 1 && this.operator[token])) break;
        // A symbol may close what holds it; what is attached to it is a word of its own, the same for all symbols.
        if (afterSymbol && this.tokens[token] !== '}') break;
        afterSymbol = !this.structure[token];
        if (afterSymbol && ++symbols > 1) break;
        key = key * this.tokens.length + token;
        if (n > 1 && !this.open[token]) increase(counts, key);
      }
    }
    for (const [key, count] of counts) if (count < MIN_COUNT) counts.delete(key);
    return counts;
  }

  /** How often each phrase is written where the longest word always comes first. */
  private usage(phrases: ReadonlySet<number>): Map<number, number> {
    const counts = new Map<number, number>();
    for (let i = 0; i < this.text.length; ) {
      let key = 0;
      let taken = 1;
      let longest = -1;
      for (let n = 1; n <= MAX_TOKENS; n++) {
        const token = this.text[i + n - 1] ?? BOUNDARY_NUMBER;
        if (token === BOUNDARY_NUMBER) break;
        key = key * this.tokens.length + token;
        if (n > 1 && phrases.has(key)) [taken, longest] = [n, key];
      }
      if (longest >= 0) increase(counts, longest, taken - 1);
      i += taken;
    }
    return counts;
  }

  private spell(key: number): string {
    const spelled: string[] = [];
    for (let rest = key; rest > 0; rest = Math.floor(rest / this.tokens.length))
      spelled.unshift(this.tokens[rest % this.tokens.length] as string);
    return spelled.join(' ');
  }
}

function increase<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

/** The keys of the largest counts; equal ones by key, so that the outcome depends on the text alone. */
const ranked = (counts: ReadonlyMap<number, number>, most: number): number[] =>
  [...counts]
    .sort(([a, m], [b, n]) => n - m || a - b)
    .slice(0, most)
    .map(([key]) => key);
