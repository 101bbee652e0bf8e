// The tokenizer.json of a LaTeX vocabulary: words are whole canonical tokens or phrases of them ("_ { i }"), the longest
// first, and decoding puts a space between two, so canonical formulas come back to the letter. What is no word is
// written in pieces (WordPiece): printable ASCII always has ids.

export const SPECIAL_TOKENS = [
  '<unk>',
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|image_pad|>',
  '<|video_pad|>',
] as const;

const PRINTABLE = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
/** Before a piece that goes on a word. */
const CONTINUES = '##';

/** What is no word of the vocabulary: an environment's begin or end, a command, an escaped character, or one character. */
const OTHER = '\\\\(?:begin|end) ?\\{[a-zA-Z]+\\*?\\}|\\\\[a-zA-Z]+|\\\\.|\\S';

/** Entries in the order of their ids. */
export const vocabularyOf = (words: readonly string[]): string[] => [
  ...new Set([...SPECIAL_TOKENS, ...PRINTABLE, '\\ ', ...words, ...PRINTABLE.map((c) => CONTINUES + c)]),
];

export function latexTokenizer(words: readonly string[]): object {
  const entries = vocabularyOf(words);
  // A backslash alone begins what is no word, and ends none.
  const isPart = (entry: string): boolean => entry === '\\' || entry.startsWith(CONTINUES);
  const matched = entries.slice(SPECIAL_TOKENS.length).filter((entry) => !isPart(entry));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Split',
      pattern: { Regex: `${longestOf(matched)}|${OTHER}` },
      behavior: 'Removed',
      invert: true,
    },
    post_processor: null,
    decoder: { type: 'WordPiece', prefix: CONTINUES, cleanup: false },
    model: {
      type: 'WordPiece',
      unk_token: '<unk>',
      continuing_subword_prefix: CONTINUES,
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(entries.map((entry, id) => [entry, id])),
    },
  };
}

interface Trie {
  ends: boolean;
  readonly next: Map<string, Trie>;
}

/** A regular expression of the longest of the words that stands here, as a tree of their first letters: quick to fail. */
function longestOf(words: readonly string[]): string {
  const root: Trie = { ends: false, next: new Map() };
  for (const word of words) {
    let node = root;
    for (const letter of word) {
      const next: Trie = node.next.get(letter) ?? { ends: false, next: new Map() };
      node.next.set(letter, next);
      node = next;
    }
    node.ends = true;
  }
  return patternOf(root, '');
}

/** A command ends where no letter follows. */
const COMMAND = /\\[a-zA-Z]+$/;

function patternOf({ ends, next }: Trie, before: string): string {
  const branches = [...next].map(([letter, node]) => escaped(letter) + patternOf(node, before + letter));
  const end = COMMAND.test(before) ? '(?![a-zA-Z])' : '';
  if (branches.length === 0) return end;
  if (ends) return `(?:${[...branches, end].join('|')})`;
  return branches.length === 1 ? (branches[0] as string) : `(?:${branches.join('|')})`;
}

const escaped = (letter: string): string => letter.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
