// Every source on small files made here: the same rows come out of Parquet, archives and JSON; faults name the culprit.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { packTar } from 'modern-tar';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { HubServer } from '../../../test/hub/server.ts';
import { InputError } from '../../shared/errors.ts';
import type { Item, Source, SourceOptions } from '../source.ts';
import { openSource, SOURCES } from './index.ts';

let home = '';
let pictures: Buffer[] = [];
beforeAll(async () => {
  const paint = (width: number): Promise<Buffer> =>
    sharp({ create: { width, height: 20, channels: 3, background: '#a1b2c3' } })
      .png()
      .toBuffer();
  pictures = await Promise.all([30, 40, 50, 60].map(paint));
});
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'texlens-sources-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const at = (name: string): string => join(home, name);
const TEXTS = ['x', '\\alpha', 'y ^ 2', '值'];

async function rowsOf(source: Source, from = 0): Promise<Item[]> {
  const rows: Item[] = [];
  for await (const row of source.rows(from)) rows.push(row);
  return rows;
}

const open = (spec: string, options: SourceOptions = {}): Promise<Source> => {
  const [name = '', ...path] = spec.split(':');
  return openSource(name, path.join(':'), options);
};

/** Holds a source to the four pictures and their texts, from every row on. */
async function expectFour(source: Source): Promise<void> {
  expect(source.total).toBe(4);
  for (let from = 0; from <= 4; from++) {
    const rows = await rowsOf(source, from);
    expect(rows.map((row) => 'image' in row && [Buffer.from(row.image as Uint8Array), row.text])).toEqual(
      pictures.map((picture, i) => [picture, TEXTS[i]]).slice(from),
    );
  }
}

it('the map holds every file of the folder', async () => {
  const files = (await readdir(new URL('.', import.meta.url)))
    .filter((name) => !name.endsWith('.test.ts') && name !== 'index.ts')
    .map((name) => name.replace(/\.ts$/, ''));
  expect(Object.keys(SOURCES).sort()).toEqual(files.sort());
  for (const [name, { form, load }] of Object.entries(SOURCES)) {
    expect(form.split(':')[0]).toBe(name);
    expect((await load()).open).toBeTypeOf('function');
  }
});

it('names unknown sources, missing paths and options that mean nothing', async () => {
  await expect(open('zip:x')).rejects.toThrow(/--source zip: unknown; expected one of synthetic, folder:PATH/);
  await expect(open('parquet')).rejects.toThrow(/expected parquet:PATH/);
  await expect(open('synthetic:x')).rejects.toThrow(/expected synthetic alone/);
  await expect(open('folder:x', { subset: 'small' })).rejects.toThrow(/--subset: means nothing to the source folder/);
  await expect(open('hf:a/b', { imageColumn: 'x', level: 'easy' })).rejects.toThrow(/--level: means nothing/);
});

describe('parquet', () => {
  /** Row groups of two rows, or of all. */
  const write = async (
    name: string,
    groups: number,
    columns: Parameters<typeof parquetWriteBuffer>[0],
    features?: object,
  ) => {
    const kvMetadata = features && [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }];
    const buffer = parquetWriteBuffer({ ...columns, rowGroupSize: groups, kvMetadata });
    await writeFile(at(name), Buffer.from(buffer));
  };
  const structs = (extra: object = {}) => ({
    columnData: [
      { name: 'image', data: pictures.map((bytes, i) => ({ bytes, path: i === 1 ? null : `${i}.png` })) },
      { name: 'text', data: TEXTS },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' as const },
      { name: 'bytes', type: 'BYTE_ARRAY' as const, repetition_type: 'OPTIONAL' as const },
      {
        name: 'path',
        type: 'BYTE_ARRAY' as const,
        converted_type: 'UTF8' as const,
        repetition_type: 'OPTIONAL' as const,
      },
      {
        name: 'text',
        type: 'BYTE_ARRAY' as const,
        converted_type: 'UTF8' as const,
        repetition_type: 'OPTIONAL' as const,
      },
    ],
    ...extra,
  });

  it('reads structs of bytes in row groups of any size, one file or several', async () => {
    await write('small.parquet', 2, structs(), { image: { _type: 'Image' }, text: { _type: 'Value' } });
    await write('large.parquet', 100, structs());
    await write('plain.parquet', 3, structs({ codec: 'UNCOMPRESSED' }));
    for (const name of ['small', 'large', 'plain']) await expectFour(await open(`parquet:${at(`${name}.parquet`)}`));
    const all = await open(`parquet:${home}/*.parquet`);
    expect(all.total).toBe(12);
    expect(await rowsOf(all, 5)).toHaveLength(7);
    expect((await open(`parquet:${home}`)).files.map(({ name }) => name)).toEqual(all.files.map(({ name }) => name));
  });

  it('finds columns by the features, or takes the ones named', async () => {
    const bytes = (name: string) => ({ name, data: pictures, type: 'BYTE_ARRAY' as const });
    const text = (name: string, data = TEXTS) => ({ name, data, type: 'STRING' as const });
    const columns = { columnData: [bytes('scan'), bytes('thumb'), text('tex'), text('lang', ['a', 'b', 'c', 'd'])] };
    await write('odd.parquet', 4, columns);
    await write('told.parquet', 4, columns, { scan: { _type: 'Image' } });
    await expect(open(`parquet:${at('odd.parquet')}`)).rejects.toThrow(
      /more than one image column; it has 'scan', 'thumb', 'tex', 'lang'\. Name one with --image-column/,
    );
    await expect(open(`parquet:${at('told.parquet')}`)).rejects.toThrow(/more than one text column.*--text-column/);
    await expectFour(await open(`parquet:${at('told.parquet')}`, { textColumn: 'tex' }));
    await expectFour(await open(`parquet:${at('odd.parquet')}`, { imageColumn: 'scan', textColumn: 'tex' }));
    await expect(open(`parquet:${at('odd.parquet')}`, { imageColumn: 'no' })).rejects.toThrow(/no column 'no'/);
  });

  it('takes images beside the file by their path, and none from elsewhere', async () => {
    const paths = ['in/a.png', '../out.png', '/etc/passwd', ''];
    const data = paths.map((path) => ({ bytes: null, path }));
    await write('paths.parquet', 4, {
      ...structs(),
      columnData: [
        { name: 'image', data },
        { name: 'text', data: TEXTS },
      ],
    });
    const rows = await rowsOf(await open(`parquet:${at('paths.parquet')}`));
    expect(rows[0]).toMatchObject({ image: at('in/a.png'), text: 'x' });
    expect(rows.slice(1).map((row) => 'unusable' in row && [row.unusable, row.detail])).toEqual([
      ['image path leads out of the folder', '../out.png'],
      ['image path leads out of the folder', '/etc/passwd'],
      ['no image path', '值'],
    ]);
  });

  it('says what is wrong with a file', async () => {
    await writeFile(at('no.parquet'), 'PAR1 no');
    await expect(open(`parquet:${at('no.parquet')}`)).rejects.toThrow(/no\.parquet: not a readable Parquet file/);
    await expect(open(`parquet:${at('*.pq')}`)).rejects.toThrow(/no Parquet files there/);
    await write('cut.parquet', 2, structs());
    const whole = await readFile(at('cut.parquet'));
    whole.fill(0xff, 8, 40); // a page's header
    await writeFile(at('cut.parquet'), whole);
    const fault = open(`parquet:${at('cut.parquet')}`).then((source) => rowsOf(source));
    await expect(fault).rejects.toThrow(InputError);
    await expect(fault).rejects.toThrow(/cut\.parquet: the column image/);
  });
});

describe('archive', () => {
  const labels = `file,latex\n${TEXTS.map((text, i) => `img/${i}.png,${text}`).join('\n')}\n`;
  const entries = () => [
    { header: { name: 'set/labels.csv', size: Buffer.byteLength(labels) }, body: labels },
    { header: { name: 'set/img/', size: 0, type: 'directory' as const } },
    ...pictures.map((body, i) => ({
      header: { name: `set/img/${i}.png`, size: body.length },
      body: new Uint8Array(body),
    })),
  ];

  it('reads tar and tar.gz, labels first or last', async () => {
    const tar = await packTar(entries());
    await writeFile(at('a.tar'), tar);
    await writeFile(at('a.tar.gz'), gzipSync(tar));
    await writeFile(
      at('b.tgz'),
      gzipSync(
        await packTar(
          entries()
            .reverse()
            .filter(({ header }) => !header.name.endsWith('/')),
        ),
      ),
    );
    await expectFour(await open(`archive:${at('a.tar')}`));
    await expectFour(await open(`archive:${at('a.tar.gz')}`));
    const reversed = await rowsOf(await open(`archive:${at('b.tgz')}`));
    expect(reversed.map((row) => 'text' in row && row.text)).toEqual([...TEXTS].reverse());
  });

  it('reads what GNU tar packs, long names and all', async () => {
    const deep = `set/${'d'.repeat(120)}`;
    await mkdir(at(deep), { recursive: true });
    await writeFile(at(`${deep}/0.png`), pictures[0]!);
    await writeFile(at('set/labels.tsv'), `image\ttext\n${'d'.repeat(120)}/0.png\tx\n`);
    execFileSync('tar', ['-czf', at('gnu.tar.gz'), '-C', home, 'set']);
    expect(await rowsOf(await open(`archive:${at('gnu.tar.gz')}`))).toMatchObject([{ text: 'x', where: 'line 2' }]);
  });

  it('tells of labels without image and images twice named', async () => {
    const twice = 'file,latex\nimg/0.png,x\nimg/9.png,gone\n,none\nimg/0.png,again\n';
    await writeFile(
      at('c.tar'),
      await packTar([
        { header: { name: 'labels.csv', size: twice.length }, body: twice },
        ...entries()
          .slice(2, 3)
          .map((entry) => ({ ...entry, header: { ...entry.header, name: 'img/0.png' } })),
      ]),
    );
    const rows = await rowsOf(await open(`archive:${at('c.tar')}`));
    expect(rows).toMatchObject([
      { unusable: 'image not in the archive', detail: 'img/9.png', where: 'line 3' },
      { unusable: 'no image path', where: 'line 4' },
      { text: 'x' },
      { text: 'again' },
    ]);
    const [first, second] = rows.slice(2) as { image: Uint8Array }[];
    expect(first!.image.buffer).not.toBe(second!.image.buffer);
  });

  it('says what is wrong with an archive', async () => {
    const tar = await packTar(entries());
    await writeFile(at('cut.tar'), tar.subarray(0, 3000));
    await expect(open(`archive:${at('cut.tar')}`)).rejects.toThrow(/cut\.tar: not a readable tar archive/);
    await writeFile(at('no.zip'), 'PK no');
    await expect(open(`archive:${at('no.zip')}`)).rejects.toThrow(/no\.zip: not a readable zip archive/);
    await writeFile(at('no.tar.gz'), 'nothing');
    await expect(open(`archive:${at('no.tar.gz')}`)).rejects.toThrow(/not a readable tar archive/);
    await expect(open(`archive:${at('gone.zip')}`)).rejects.toThrow(/gone\.zip: cannot be read/);
    await expect(open(`archive:${at('a.rar')}`)).rejects.toThrow(/ends with \.zip, \.tar/);
    await writeFile(at('bare.tar'), await packTar(entries().slice(2)));
    await expect(open(`archive:${at('bare.tar')}`)).rejects.toThrow(/expected one labels file.*found none/);
  });
});

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
    const data = `data:image/png;base64,${pictures[0]!.toString('base64')}`;
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
    ];
    await writeFile(at('a.json'), JSON.stringify(entries));
    const rows = await rowsOf(await open(`json:${at('a.json')}`));
    expect(rows.slice(0, 2)).toMatchObject([{ image: pictures[0] }, { image: '/tmp/a.png' }]);
    expect(rows.slice(2).map((row) => 'unusable' in row && row.unusable)).toEqual([
      'image on the web',
      'several images',
      'several answers',
      'several images',
      'no image path',
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

it('a source knows its files by content, and loose images by size and time', async () => {
  await writeFile(at('a.png'), pictures[0]!);
  await writeFile(at('labels.csv'), 'image,text\na.png,x\n');
  const files = async () => (await open(`folder:${home}`)).files;
  const before = await files();
  expect(await files()).toEqual(before);
  await utimes(at('labels.csv'), 1, 1); // as a copy has it
  expect(await files()).toEqual(before);
  await utimes(at('a.png'), 1, 1);
  expect((await files())[1]).not.toEqual(before[1]);
  await writeFile(at('labels.csv'), 'image,text\na.png,y\n');
  expect((await files())[0]).not.toEqual(before[0]);
});

describe.each(['hf', 'modelscope'] as const)('%s', (hub) => {
  let server: HubServer;
  beforeAll(async () => {
    server = await HubServer.start();
  });
  afterAll(() => server.close());
  afterEach(() => vi.unstubAllEnvs());

  it('downloads a subset’s split and reads it', async () => {
    const columnData = [
      { name: 'image', data: pictures, type: 'BYTE_ARRAY' as const },
      { name: 'text', data: TEXTS, type: 'STRING' as const },
    ];
    const train = Buffer.from(parquetWriteBuffer({ columnData }));
    const readme =
      '---\nconfigs:\n- config_name: small\n  data_files:\n  - {split: train, path: small/train-*}\n  - {split: test, path: note.txt}\n---\n';
    server.add({
      kind: 'dataset',
      id: 'o/LaTeX_OCR',
      files: { 'README.md': readme, 'small/train-0.parquet': train, 'note.txt': 'x' },
    });
    for (const [name, value] of Object.entries(server.env(home))) vi.stubEnv(name, value);
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const source = await open(`${hub}:o/LaTeX_OCR`, { subset: 'small' });
    await expectFour(source);
    expect(source.options).toMatchObject({ repository: 'o/LaTeX_OCR', subset: 'small', split: 'train' });
    expect(source.files.map(({ name }) => name)).toEqual(['small/train-0.parquet']);
    await expect(open(`${hub}:o/LaTeX_OCR`, { split: 'test' })).rejects.toThrow(/note\.txt, which is no Parquet file/);
    vi.restoreAllMocks();
  });
});
