// The CSV and the conversation JSON: round trips, faults by line, splits.
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../shared/errors.ts';
import { readConversations, readCsv, readLabels, split, writeConversations, writeCsv } from './conversation.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-conversation-'));
});

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const ROWS = [
  { image: 'images/a.png', text: '\\frac { a } { b }' },
  { image: '/else/b.png', text: 'x "quoted", with commas & Ünïcode\nand a line' },
];

describe('round trips', () => {
  it('writes the JSON of the tutorial, unescaped, and reads it back with resolved paths', async () => {
    const path = join(folder, 'train.json');
    await writeConversations(path, ROWS);
    expect(await readFile(path, 'utf8')).toMatch(
      /^\[\n {2}\{\n {4}"id": "identity_1",\n {4}"conversations": \[\n {6}\{\n {8}"role": "user",\n {8}"value": "images\/a.png"\n/,
    );
    expect(await readFile(path, 'utf8')).toContain('Ünïcode');
    expect(await readConversations(path)).toEqual([
      { images: [join(folder, 'images/a.png')], text: ROWS[0]!.text },
      { images: ['/else/b.png'], text: ROWS[1]!.text },
    ]);
  });

  it.each([
    ['a list', ['a.png', '/b.png'], { images: ['a.png', '/b.png'] }],
    ['marks alone', '<|vision_start|>a.png<|vision_end|>', { images: ['a.png'] }],
    [
      'marks and an instruction',
      'Compare:\n<|vision_start|> a.png <|vision_end|><|vision_start|>/b.png<|vision_end|>',
      { images: ['a.png', '/b.png'], prompt: 'Compare:' },
    ],
  ])('reads images given as %s', async (_, value, read) => {
    const turns = [
      { role: 'user', value },
      { role: 'assistant', value: 'x' },
    ];
    const path = await file('several.json', JSON.stringify([{ id: 'i', conversations: turns }]));
    const images = read.images.map((image) => resolve(folder, image));
    expect(await readConversations(path)).toEqual([{ ...read, images, text: 'x' }]);
  });

  it('writes image_path,text and reads it back', async () => {
    const path = join(folder, 'data.csv');
    await writeCsv(path, ROWS);
    expect(await readFile(path, 'utf8')).toMatch(/^image_path,text\nimages\/a.png,/);
    expect((await readCsv(path)).map((row) => row.text)).toEqual(ROWS.map((row) => row.text));
  });
});

describe('faults', () => {
  it.each([
    ['cut.json', '[\n  {\n    "id": "identity_1",\n', /cut\.json:[34]: broken JSON/],
    ['comma.json', '[\n  1\n  2\n]', /comma\.json:3: broken JSON/],
    ['object.json', '{}', /not a conversation list/],
    ['turns.json', '[{"id":"i","conversations":[]}]', /entry 1 is not a conversation/],
    [
      'marks.json',
      '[{"id":"i7","conversations":[{"role":"user","value":"<|vision_start|>a.png"},{"role":"assistant","value":"x"}]}]',
      /entry 1: the image of i7 is not marked as <\|vision_start\|>path<\|vision_end\|>/,
    ],
    [
      'empty.json',
      '[{"id":"i7","conversations":[{"role":"user","value":"a.png"},{"role":"assistant","value":" "}]}]',
      /entry 1: the label of i7 is empty/,
    ],
  ])('%s', async (name, text, message) => {
    const fault = readConversations(await file(name, text));
    await expect(fault).rejects.toThrow(InputError);
    await expect(fault).rejects.toThrow(message);
  });

  it.each([
    ['quote.csv', 'image_path,text\na.png,x\nb.png,"y\n', /quote\.csv:\d+: broken table/],
    ['wide.csv', 'image_path,text\na.png,x\nb.png,y,z\n', /wide\.csv:3: broken table/],
    ['column.csv', 'image_path,latex\na.png,x\n', /no column 'text'; it has 'image_path', 'latex'.*--text-column/],
    ['label.csv', 'image_path,text\na.png,x\nb.png,\n', /label\.csv:3: the label is empty/],
    ['image.csv', 'image_path,text\n,x\n', /image\.csv:2: the image path is empty/],
    ['none.csv', 'image_path,text\n', /has no rows/],
  ])('%s', async (name, text, message) => {
    const fault = readCsv(await file(name, text));
    await expect(fault).rejects.toThrow(InputError);
    await expect(fault).rejects.toThrow(message);
  });

  it('names a missing file', async () => {
    await expect(readCsv(join(folder, 'absent.csv'))).rejects.toThrow(/absent\.csv: cannot be read/);
  });
});

it('reads TSV with quotes in LaTeX, and JSON lines with named columns', async () => {
  const tsv = await readLabels(await file('l.tsv', 'file\tlatex\na.png\t"x" , y\n'));
  expect(tsv).toEqual([{ image: join(folder, 'a.png'), text: '"x" , y', line: 2 }]);
  const lines = await readLabels(await file('l.jsonl', '{"pic":"a.png","tex":"x"}\n\n{"pic":"b.png","tex":"y"}\n'), {
    image: 'pic',
    text: 'tex',
  });
  expect(lines.map((row) => [row.text, row.line])).toEqual([
    ['x', 1],
    ['y', 3],
  ]);
  await expect(readLabels(await file('bad.jsonl', '{"a":1}\n{\n'))).rejects.toThrow(/bad\.jsonl:2: broken JSON/);
});

describe('split', () => {
  const rows = Array.from({ length: 20 }, (_, i) => i);
  it('validates on the last four by default, by count or by ratio', () => {
    expect(split(rows, {}).val).toEqual([16, 17, 18, 19]);
    expect(split(rows, { valCount: 0 })).toEqual({ train: rows, val: [] });
    expect(split(rows, { valCount: 2 }).val).toEqual([18, 19]);
    expect(split(rows, { valRatio: 0.25 }).val).toHaveLength(5);
    expect(split([1], {})).toEqual({ train: [1], val: [] });
  });
  it('shuffles by seed and loses nothing', () => {
    const { train, val } = split(rows, { shuffleSeed: 3 });
    expect([...train, ...val].sort((a, b) => a - b)).toEqual(rows);
    expect(split(rows, { shuffleSeed: 3 }).val).toEqual(val);
    expect(split(rows, { shuffleSeed: 4 }).val).not.toEqual(val);
  });
  it('refuses to leave nothing for training', () => {
    expect(() => split(rows, { valCount: 20 })).toThrow(/--val-count 20.*at most 19/);
    expect(() => split(rows, { valRatio: 0.99 })).toThrow(/--val-ratio 0.99/);
  });
});
