// The learned tokenizer: what it takes for words, that formulas come back to the letter, and that nothing printable is
// lost. Expected words were written by hand after the rules; ids and texts of the golden ones are the Rust library's.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tokenizer } from '../../formats/tokenizer.ts';
import { latexTokenizer, vocabularyOf } from './latex_tokenizer.ts';
import { learnWords } from './vocabulary.ts';

const times = (count: number, formula: string): string[] => new Array<string>(count).fill(formula);
const FORMULAS = [
  ...times(30, 'x _ { i } ^ { 2 } + \\operatorname { s i n } ( y _ { i } )'),
  ...times(20, '\\frac { a } { b } = \\mathcal { F } _ { j k }'),
  ...times(3, '\\operatorname { o d d } ^ { \\prime }'),
];
const base = vocabularyOf([]);
const words = learnWords(FORMULAS, base.length + 24, base);

describe('learnWords', () => {
  it('holds every token, and the named operators that are frequent', () => {
    for (const token of ['\\frac', '\\mathcal', '\\operatorname', '\\prime']) expect(words).toContain(token);
    expect(words).toContain('\\operatorname { s i n }');
    expect(words).not.toContain('\\operatorname { o d d }');
  });

  it('learns scripts and dressed symbols, and no phrase of two symbols or more than four tokens', () => {
    for (const phrase of ['_ { i }', '^ { 2 }', '\\mathcal { F }']) expect(words).toContain(phrase);
    for (const word of words.filter((word) => !word.startsWith('\\operatorname'))) {
      expect(word.split(' ').length).toBeLessThanOrEqual(4);
      expect(word.split(' ').filter((token) => /^[a-z0-9()=+]$/.test(token)).length, word).toBeLessThanOrEqual(1);
    }
  });

  it('learns the same of the same formulas, and keeps to its size', () => {
    expect(learnWords(FORMULAS, base.length + 24, base)).toEqual(words);
    expect(words.length).toBeLessThanOrEqual(24);
    expect(learnWords(FORMULAS, base.length + 12, base).length).toBeLessThanOrEqual(12);
  });
});

describe('latexTokenizer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'texlens-latex-tokenizer-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(latexTokenizer([...words, '\\in', '\\infty'])));
    tokenizer = await Tokenizer.load(folder);
  });
  const entries = (text: string): string[] =>
    tokenizer.encode(text).map((id) => vocabularyOf([...words, '\\in', '\\infty'])[id] as string);

  it('takes the longest word', () => {
    expect(entries('x _ { i } ^ { 2 }')).toEqual(['x', '_ { i }', '^ { 2 }']);
    expect(entries('\\operatorname { s i n } x')).toEqual(['\\operatorname { s i n }', 'x']);
    expect(entries('\\infty \\in \\int')).toEqual(['\\infty', '\\in', '\\in', '##t']);
  });

  it('gives formulas back to the letter', () => {
    for (const formula of [...new Set(FORMULAS)]) expect(tokenizer.decode(tokenizer.encode(formula))).toBe(formula);
  });

  it('puts single spaces where a formula has others or none', () => {
    expect(tokenizer.decode(tokenizer.encode(' x_{i}^2  +\\frac{a}b'))).toBe('x _ { i } ^ 2 + \\frac { a } b');
  });

  it('writes unknown commands in pieces, and has ids for all of ASCII', () => {
    const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
    for (const text of [ascii, '\\foo { x }', '\\begin{foo*} a \\end{foo*}', 'a \\  b'])
      expect(tokenizer.encode(text), text).not.toContain(tokenizer.idOf('<unk>'));
    for (const text of ['\\foo { x }', '\\begin{foo*} a \\end{foo*}', 'a \\  b'])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('says that the spaces are its own', () => {
    expect(tokenizer.spacesWords).toBe(true);
  });

  it('keeps control tokens whole', () => {
    expect(entries('<|im_start|>x<|im_end|>')).toEqual(['<|im_start|>', 'x', '<|im_end|>']);
  });
});

it('has the ids and texts of the Rust library', async () => {
  const golden = new URL('../../../test/golden/latex_tokenizer/', import.meta.url).pathname;
  const read = (name: string): unknown => JSON.parse(readFileSync(join(golden, name), 'utf8'));
  const { words, texts } = read('expected.json') as {
    words: string[];
    texts: { text: string; ids: number[]; decoded: string }[];
  };
  expect(latexTokenizer(words)).toEqual(read('tokenizer.json'));
  const tokenizer = await Tokenizer.load(golden);
  for (const { text, ids, decoded } of texts) {
    expect(tokenizer.encode(text), text).toEqual(ids);
    expect(tokenizer.decode(ids, { skipSpecial: false }), text).toBe(decoded);
  }
});
