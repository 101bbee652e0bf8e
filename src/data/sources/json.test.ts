// JSON and JSON lines as a source: the common forms of conversations, addresses of images, and faults.
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { open, rowsOf, sourceScene, TEXTS } from '../../../test/data/source_scene.ts';
import { InputError } from '../../shared/errors.ts';

const scene = sourceScene();
const { at } = scene;

describe('json and jsonl', () => {
  const FORMS: readonly (readonly [string, (image: string, text: string) => object])[] = [
    ['plain', (image, text) => ({ image, text })],
    ['Hugging Face bytes', (image, text) => ({ image: { bytes: Buffer.from(image).toString('base64') }, latex: text })],
    [
      'this tool',
      (image, text) => ({
        id: 'identity_1',
        conversations: [
          { role: 'user', value: image },
          { role: 'assistant', value: text },
        ],
      }),
    ],
    [
      'the tutorial, with vision marks',
      (image, text) => ({
        conversations: [
          { from: 'user', value: `COCO Yes: <|vision_start|>${image}<|vision_end|>` },
          { from: 'assistant', value: text },
        ],
      }),
    ],
    [
      'ShareGPT',
      (image, text) => ({
        conversations: [
          { from: 'human', value: '<image>Read.' },
          { from: 'gpt', value: text },
        ],
        images: [image],
      }),
    ],
    [
      'LLaVA',
      (image, text) => ({
        id: 1,
        image,
        conversations: [
          { from: 'human', value: '<image>\nRead.' },
          { from: 'gpt', value: text },
        ],
      }),
    ],
    [
      'OpenAI',
      (image, text) => ({
        messages: [
          { role: 'system', content: 'You read.' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Read.' },
              { type: 'image_url', image_url: { url: image } },
            ],
          },
          { role: 'assistant', content: text },
        ],
      }),
    ],
    [
      'image parts',
      (image, text) => ({
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image', image },
              { type: 'text', text: 'Read.' },
            ],
          },
          { role: 'assistant', content: [{ type: 'text', text }] },
        ],
      }),
    ],
    [
      'ms-swift',
      (image, text) => ({
        messages: [
          { role: 'user', content: '<image>Read.' },
          { role: 'assistant', content: text },
        ],
        images: [{ path: image }],
      }),
    ],
    ['ms-swift query', (image, text) => ({ query: '<image>Read.', response: text, images: [image] })],
  ];

  it.each(FORMS)('reads %s', async (name, form) => {
    const entries = TEXTS.map((text, i) => form(`img/${i}.png`, text));
    await writeFile(at('a.json'), JSON.stringify(entries, null, 1));
    await writeFile(at('a.jsonl'), entries.map((entry) => `${JSON.stringify(entry)}\r\n`).join('\n'));
    for (const spec of [`json:${at('a.json')}`, `jsonl:${at('a.jsonl')}`]) {
      const source = await open(spec);
      expect(source.total).toBe(4);
      const rows = (await rowsOf(source, 1)) as { image: string | Uint8Array; text: string }[];
      expect(rows.map(({ text }) => text)).toEqual(TEXTS.slice(1));
      const first = rows[0]!.image;
      expect(typeof first === 'string' ? first : Buffer.from(first).toString()).toBe(
        name === 'Hugging Face bytes' ? 'img/1.png' : at('img/1.png'),
      );
    }
  });

  it('decodes data addresses, resolves file addresses, and tells what it cannot take', async () => {
    const data = `data:image/png;base64,${scene.pictures[0]!.toString('base64')}`;
    const turns = [
      { role: 'assistant', content: 'a' },
      { role: 'assistant', content: 'b' },
    ];
    const entries = [
      { image: data, text: 'x' },
      { image: 'file:///tmp/a.png', text: 'x' },
      { image: 'https://example.org/a.png', text: 'x' },
      { images: ['a.png', 'b.png'], text: 'x' },
      { messages: turns, images: ['a.png'] },
      { conversations: [{ role: 'user', value: ['a.png', 'b.png'] }, turns[0]] },
      { image: null, text: 'x' },
      { image: 'data:image/svg+xml,%E0%A4%A', text: 'x' },
      { image: 'file://host/share/a.png', text: 'x' },
      { image: 'file:///a%2Fb.png', text: 'x' },
    ];
    await writeFile(at('a.json'), JSON.stringify(entries));
    const rows = await rowsOf(await open(`json:${at('a.json')}`));
    expect(rows.slice(0, 2)).toMatchObject([{ image: scene.pictures[0] }, { image: '/tmp/a.png' }]);
    expect(rows.slice(2).map((row) => 'unusable' in row && row.unusable)).toEqual([
      'image on the web',
      'several images',
      'several answers',
      'several images',
      'no image path',
      'broken image address',
      'broken image address',
      'broken image address',
    ]);
  });

  it.each([
    ['cut.json', '[{"image":"a","text":"x"},\n{"image":"b"', /cut\.json:2: broken JSON; expected one whole array/],
    ['two.json', '[1] [2]', /two\.json:1: broken JSON|expected an object/],
    ['comma.json', '[{"image":"a","text":"x"}\n{"image":"b","text":"y"}]', /comma\.json:1: broken JSON/],
    ['end.json', '[{"image":"a","text":"x"},\n]', /end\.json:2: broken JSON/],
    ['object.json', '{"image":"a"}', /expected one whole array/],
    ['keys.json', '[{"a":1}]', /line 1: neither a conversation.*it has a.*--image-column/],
    ['bad.jsonl', '{"image":"a","text":"x"}\n\n{"image":\n', /bad\.jsonl:3: broken JSON/],
    ['list.jsonl', '[1]\n', /line 1: expected an object/],
  ])('%s', async (name, content, message) => {
    await writeFile(at(name), content);
    const fault = open(`${name.split('.')[1]}:${at(name)}`);
    await expect(fault).rejects.toThrow(InputError);
    await expect(fault).rejects.toThrow(message);
  });

  it('takes named keys, an empty array, and brackets inside of texts', async () => {
    const odd = [
      { pic: 'a.png', tex: '"],[{\\"' },
      { pic: 'b.png', tex: 'é' },
    ];
    await writeFile(at('odd.json'), `\uFEFF ${JSON.stringify(odd)} \n`);
    const rows = await rowsOf(await open(`json:${at('odd.json')}`, { imageColumn: 'pic', textColumn: 'tex' }));
    expect(rows.map((row) => 'text' in row && row.text)).toEqual(odd.map(({ tex }) => tex));
    await writeFile(at('none.json'), ' [ ] ');
    expect((await open(`json:${at('none.json')}`)).total).toBe(0);
  });
});
