// Where two formulas differ, token by token: commands whole, everything else by character, spaces left out.

export interface Token {
  readonly text: string;
  /** a space stood before it in the source */
  readonly spaced: boolean;
  readonly differs: boolean;
}

/** Beyond this many tokens to align, what lies between the common ends counts as different as a whole. */
const MOST_ALIGNED = 1500;

const TOKEN = /(\s*)(\\(?:[a-zA-Z]+\*?|[\s\S])|\S)/gu;

type Bare = Omit<Token, 'differs'>;

export function tokenize(latex: string): Bare[] {
  return Array.from(latex.matchAll(TOKEN), ([, space, text]) => ({ text: text!, spaced: space !== '' }));
}

/** Both formulas' tokens, with those marked that belong to no longest common subsequence. */
export function diffTokens(truth: string, prediction: string): { truth: Token[]; prediction: Token[] } {
  const [a, b] = [tokenize(truth), tokenize(prediction)];
  let start = 0;
  while (start < a.length && start < b.length && a[start]!.text === b[start]!.text) start++;
  let end = 0;
  while (
    end < a.length - start &&
    end < b.length - start &&
    a[a.length - 1 - end]!.text === b[b.length - 1 - end]!.text
  )
    end++;
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const common = align(middleA, middleB);
  const marked = (tokens: readonly Bare[], matched: ReadonlySet<number>): Token[] =>
    tokens.map((token, i) => ({
      ...token,
      differs: i >= start && i < tokens.length - end && !matched.has(i - start),
    }));
  return { truth: marked(a, common.a), prediction: marked(b, common.b) };
}

/** Indexes of a longest common subsequence in either list (dynamic programming over all pairs). */
function align(a: readonly Bare[], b: readonly Bare[]): { a: Set<number>; b: Set<number> } {
  const matched = { a: new Set<number>(), b: new Set<number>() };
  if (a.length > MOST_ALIGNED || b.length > MOST_ALIGNED) return matched;
  const width = b.length + 1;
  // lengths[i * width + j]: of a[i…] and b[j…]
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        a[i]!.text === b[j]!.text
          ? 1 + lengths[(i + 1) * width + j + 1]!
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i]!.text === b[j]!.text) {
      matched.a.add(i++);
      matched.b.add(j++);
    } else if (lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!) i++;
    else j++;
  }
  return matched;
}
