// What goes wrong at a user's: odd and broken images, labels, files and adapters, and a full disk. Every fault is told
// by name with exit code 2, or 1 when the disk is to blame, and keeps nothing good from being done.
import { copyFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonLines, lastJson, texlensHere, texlensWithin, type Workspace, workspace } from './cli.ts';

const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url));
let home: Workspace;
const at = (...parts: string[]) => home.at(...parts);
const TRAIN = () => ['train', at('run.yaml'), '--max-steps', '6', '--set', 'save.keep=3'];
const good = () => at('data', 'images', '000001.png');

beforeAll(async () => {
  home = await workspace();
  const strip = { create: { width: 20_000, height: 10, channels: 3, background: 'white' } } as const;
  await sharp(strip).png().toFile(at('strip.png'));
  const whole = await readFile(good());
  await writeFile(at('cut.png'), whole.subarray(0, whole.length - 60));
  await writeFile(at('text.png'), 'this is no image\n');
  const trained = await texlensHere(...TRAIN());
  if (trained.code !== 0) throw new Error(trained.stderr);
});
afterAll(() => home.remove());

/** The message of a command that must fail with this code, told on stderr and as the last JSON line alike. */
async function fault(code: number, ...args: string[]): Promise<string> {
  const got = await texlensHere(...args, '--json');
  expect(got.code, got.stderr).toBe(code);
  const { error } = lastJson(got.stdout) as { error: { kind: string; message: string } };
  expect(error.kind).toBe(code === 2 ? 'input' : 'run');
  expect(got.stderr).toContain(error.message);
  return error.message;
}
const few = ['--max-new-tokens', '2'];

describe('images', () => {
  it('1 × 1, CMYK, 16 bits, animated, transparent, palette: all are read', async () => {
    const folder = join(GOLDEN, 'processor', 'images');
    const read = await texlensHere('predict', folder, '--model', at('base'), ...few, '--json');
    expect(read.code, read.stderr).toBe(0);
    const lines = jsonLines(read.stdout);
    expect(lines.map(({ image }) => image).sort()).toEqual((await readdir(folder)).sort().map((f) => join(folder, f)));
    for (const line of lines) expect(line).toMatchObject({ latex: expect.any(String), confidence: expect.any(Number) });
  });

  it('bad ones are told by name, keep no good one from being read, and the exit code is 2', async () => {
    const images = ['strip.png', 'cut.png', 'text.png'].map((name) => at(name));
    const read = await texlensHere('predict', ...images, good(), '--model', at('base'), ...few, '--json');
    expect(read.code).toBe(2);
    expect(read.stderr).toContain('strip.png: 20000×10 pixels: the aspect ratio is 2000.0, expected at most 200');
    expect(read.stderr).toContain('cut.png: not a readable image');
    expect(read.stderr).toContain('text.png: not a readable image');
    const lines = jsonLines(read.stdout);
    const told = lines.filter((line) => 'error' in line).map(({ image }) => image);
    expect(told).toEqual(images);
    expect(lines.at(-1)).toMatchObject({ image: good(), latex: expect.any(String) });
  });

  it('many are read stretch by stretch, not all opened before the first is told', async () => {
    const images = [...new Array<string>(20).fill(good()), at('cut.png')];
    const read = await texlensHere('predict', ...images, '--model', at('base'), ...few, '--batch', '1', '--json');
    expect(read.code).toBe(2);
    const lines = jsonLines(read.stdout);
    expect(lines).toHaveLength(21);
    expect(lines.findIndex((line) => 'error' in line)).toBeGreaterThan(0);
  });

  it('of a folder are found whatever the case of their endings', async () => {
    const folder = at('endings');
    await mkdir(folder);
    for (const name of ['a.PNG', 'b.Tif', 'c.WEBP', 'notes.txt'])
      await copyFile(join(GOLDEN, 'processor', 'images', 'rgb.png'), join(folder, name));
    const read = await texlensHere('predict', folder, '--model', at('base'), ...few, '--json');
    expect(read.code, read.stderr).toBe(0);
    expect(jsonLines(read.stdout)).toHaveLength(3);
  });

  it('a list that is absent, or no file', async () => {
    for (const [path, reason] of [
      [at('absent.json'), 'no such file or folder'],
      [at('data'), 'it is a folder'],
      [at('run.yaml', 'val.json'), 'a part of its path is a file and no folder'],
    ] as const)
      expect(await fault(2, 'eval', '--model', at('base'), '--data', path)).toBe(
        `${path}: cannot be read (${reason}); expected a conversation JSON as \`texlens prepare\` writes it.`,
      );
  });

  it('a path where nothing is', async () => {
    expect(await fault(2, 'predict', at('absent.png'), '--model', at('base'))).toContain('absent.png: no image there');
  });
});

describe('training data', () => {
  const entry = (image: unknown, label?: string) => ({
    id: 'i',
    conversations: [
      { role: 'user', value: image },
      { role: 'assistant', value: label },
    ],
  });
  async function train(name: string, data: unknown, ...flags: string[]): Promise<string[]> {
    const file = at(`${name}.json`);
    await writeFile(file, typeof data === 'string' ? data : JSON.stringify(data));
    return ['train', at('run.yaml'), '--train-data', file, '--output', at(name), '--max-steps', '1', ...flags];
  }

  it('samples that cannot be used are dropped by name and reason, the others train', async () => {
    const long = Array.from({ length: 200 }, (_, i) => `x_{${i}}`).join('+');
    const rows = [
      entry(good(), 'x + y'),
      entry(at('absent.png'), 'x'),
      entry(at('cut.png'), 'x'),
      entry(at('strip.png'), 'x'),
      entry(at('data', 'images', '000002.png'), long),
      entry(at('data', 'images', '000003.png'), 'x <|im_end|>'),
    ];
    await writeFile(at('val.json'), JSON.stringify([entry(good(), 'x'), entry(at('text.png'), 'x')]));
    const { code, stderr, stdout } = await texlensHere(
      ...(await train('some', rows)),
      ...['--val-data', at('val.json'), '--json'],
    );
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('samples: 1 (5 dropped)');
    expect(stderr).toMatch(/validation: 1 samples \(1 dropped\)\n {2}dropped \S*text\.png: not a readable image/);
    expect(stderr).toMatch(/dropped \S*absent\.png: the image cannot be read/);
    expect(stderr).toMatch(/dropped \S*cut\.png: not a readable image/);
    expect(stderr).toMatch(/dropped \S*strip\.png: 20000×10 pixels/);
    expect(stderr).toMatch(/dropped \S*000002\.png: \d{4} tokens, more than the 128 of a row/);
    expect(stderr).toMatch(/dropped \S*000003\.png: the answer contains the control token <\|im_end\|>/);
    expect(lastJson(stdout)).toMatchObject({ steps: 1, dropped: 5 });
  });

  it('validation samples may be larger than all that train', async () => {
    const picture = (width: number, height: number) =>
      sharp({ create: { width, height, channels: 3, background: 'white' } }).png();
    await picture(56, 56).toFile(at('little.png'));
    await picture(280, 56).toFile(at('large.png'));
    await writeFile(at('larger.json'), JSON.stringify([entry(at('large.png'), 'x'.repeat(40)), entry(good(), 'x')]));
    const run = await train('small', [entry(at('little.png'), 'x')], '--val-data', at('larger.json'), '--json');
    const { code, stdout, stderr } = await texlensHere(...run);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('validation: 2 samples (0 dropped)');
    expect(lastJson(stdout)).toMatchObject({ evaluation: { count: 2, loss: expect.any(Number) } });
  });

  it('a validation list without samples is told', async () => {
    await writeFile(at('novel.json'), '[]');
    const run = await train('unseen', [entry(good(), 'x')], '--val-data', at('novel.json'), '--json');
    const { code, stdout, stderr } = await texlensHere(...run);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('novel.json holds no samples: nothing will be evaluated');
    expect(lastJson(stdout)).toMatchObject({ steps: 1, evaluation: null });
  });

  it('when none is left, nothing is trained', async () => {
    const long = 'x + '.repeat(200);
    const message = await fault(2, ...(await train('long', [entry(good(), long)])));
    expect(message).toMatch(/no sample fits: \S*000001\.png: \d+ tokens, more than the 128 of a row.*row_tokens/);
    expect(await fault(2, ...(await train('none', [entry(at('absent.png'), 'x')])))).toContain('absent.png');
    expect(await fault(2, ...(await train('nil', [])))).toContain('the list is empty');
  });

  it.each([
    ['an empty label', () => [entry(good(), 'x'), entry(good(), ' ')], /entry 2: the label of i is empty/],
    ['no label', () => [entry(good())], /entry 1 is not a conversation/],
    ['no image path', () => [entry('', 'x')], /entry 1 is not a conversation/],
    ['broken JSON', () => '[\n{"id": "i",\n', /bad\.json:\d: broken JSON/],
  ])('%s is refused with its place', async (_, data, message) => {
    expect(await fault(2, ...(await train('bad', data())))).toMatch(message);
  });

  it('a labels file with broken rows is refused by line; rows without label or image are counted', async () => {
    await mkdir(at('scans'));
    await copyFile(good(), at('scans', 'a.png'));
    const prepare = ['prepare', '--source', `folder:${at('scans')}`, '--out', at('scanned'), '--val-count', '0'];
    await writeFile(at('scans', 'labels.csv'), 'image,text\na.png,"x\n');
    const labels = at('scans', 'labels.csv');
    await writeFile(labels, 'image,text\na.png,x\na.png,\n,y\nb.png,z\n');
    const { code, stdout, stderr } = await texlensHere(...prepare, '--json');
    expect(code, stderr).toBe(0);
    expect(lastJson(stdout)).toMatchObject({
      count: 1,
      dropped: { 'empty label': 1, 'no image path': 1, 'image file not readable': 1 },
    });
    await writeFile(labels, 'image,text\na.png,"x\n');
    expect(await fault(2, ...prepare.with(4, at('again')))).toMatch(/labels\.csv:\d+: broken table/);
  });

  it('a run in which all is frozen is refused', async () => {
    const full = ['--method', 'full', '--set', 'freeze.text=true'];
    const message = await fault(2, ...(await train('frozen', [entry(good(), 'x')], ...full)));
    expect(message).toContain('nothing would train');
  });

  it('a broken run configuration is refused with every place', async () => {
    await writeFile(at('syntax.yaml'), 'model: [a\noutput: b: c\n');
    expect(await fault(2, 'train', at('syntax.yaml'))).toMatch(/syntax\.yaml:\d+:\d+: /);
    await writeFile(at('keys.yaml'), 'modle: a\ntrain: {lr: fast}\n');
    const message = await fault(2, 'train', at('keys.yaml'));
    expect(message).toContain('keys.yaml:1: modle');
    expect(message).toContain('keys.yaml:2: train.lr: expected a number above 0');
    expect(await fault(2, 'train', at('none.yaml'))).toMatch(
      /none\.yaml: cannot be read \(no such file.*configuration\.$/,
    );
    expect(await fault(2, 'train', at('latex-ocr.yaml'))).toMatch(
      /comes with texlens is \S*recipes.latex-ocr\.yaml\.$/,
    );
  });
});

describe('places to write', () => {
  const table = () => at('pairs.csv');
  beforeAll(() => writeFile(table(), 'truth,prediction\nx,x\n'));

  it.each([
    ['score --report', () => ['score', table(), '--report', join(table(), 'page.html')]],
    ['normalize --out', () => ['normalize', table(), '--text-column', 'truth', '--out', join(table(), 'list.txt')]],
    ['init --out', () => ['init', '--out', join(table(), 'model')]],
    [
      'runs export --out',
      () => ['runs', 'export', 'whole', '--root', at(), '--format', 'csv', '--out', join(table(), 'x')],
    ],
    ['train --output', () => [...TRAIN(), '--output', join(table(), 'run')]],
  ])('%s below a file is refused', async (_, args) => {
    expect(await fault(2, ...args())).toMatch(
      /pairs\.csv\S*: its folder cannot be made \(.*\); choose another place\.$/,
    );
  });

  it('--report that is a folder is refused before anything is scored', async () => {
    const { code, stderr } = await texlensHere('score', table(), '--report', at('data'));
    expect([code, stderr]).toEqual([
      2,
      `error: --report ${at('data')}: it is a folder; expected the name of a file.\n`,
    ]);
  });

  it('init writes over no model', async () => {
    const before = await readFile(join(at('base'), 'model.safetensors'));
    expect(await fault(2, 'init', '--out', at('base'), '--seed', '9')).toContain(
      'holds other files already (config.json',
    );
    expect((await readFile(join(at('base'), 'model.safetensors'))).equals(before)).toBe(true);
  });
});

describe('models and adapters', () => {
  const predict = (model: string, ...flags: string[]) => ['predict', good(), '--model', model, ...few, ...flags];

  it('an adapter of another base tells how many tensors do not fit, the first, and why most likely', async () => {
    const message = await fault(2, ...predict(at('base'), '--adapter', join(GOLDEN, 'model', 'tiny', 'adapter')));
    const key = 'base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight';
    expect(message).toContain(`misshapen: ${key} is [8, 64], expected [8, 192]`);
    expect(message).toMatch(/does not fit this base model, which wants \d+ tensors of it:\n {2}\d+ misshapen: /);
    expect(message).toContain('Most likely it is of a model of another size. Use it with the base it was trained on');
    expect(message.split('\n').length).toBeLessThanOrEqual(5);
  });

  it('weights of another config.json are told in the same way', async () => {
    const mixed = at('mixed');
    await cp(at('base'), mixed, { recursive: true });
    const config = JSON.parse(await readFile(join(mixed, 'config.json'), 'utf8')) as { num_hidden_layers: number };
    const message = async (): Promise<string> => {
      await writeFile(join(mixed, 'config.json'), JSON.stringify(config));
      return fault(2, ...predict(mixed));
    };
    config.num_hidden_layers--;
    expect(await message()).toMatch(/\n {2}\d+ unexpected: .*; …\nMost likely it is of a larger model\./);
    config.num_hidden_layers += 2;
    expect(await message()).toMatch(/\n {2}\d+ missing: .*; …\nMost likely a part of it is gone\./);
  });

  it('an adapter whose keys fit no module is refused, not ignored', async () => {
    const folder = at('renamed');
    await cp(at('whole', 'adapter'), folder, { recursive: true });
    const file = join(folder, 'adapter_model.safetensors');
    const bytes = await readFile(file);
    // Same length, so that the header's offsets hold.
    await writeFile(file, Buffer.from(bytes.toString('latin1').replaceAll('layers.1', 'layerz.1'), 'latin1'));
    const message = await fault(2, ...predict(at('base'), '--adapter', folder));
    expect(message).toMatch(/\n {2}\d+ unexpected: \S*layerz\.1\.\S*\.lora_A\.weight; /);
    expect(message).toMatch(/\n {2}\d+ missing: model\.layers\.1\.\S*\.lora_A\.weight /);
    expect(message).toContain('Most likely it is of another kind of model');
  });

  it.each([
    ['cut short', (file: string) => truncate(file, 5000)],
    ['with a torn header', (file: string) => writeFile(file, Buffer.alloc(4096, 7))],
    ['empty', (file: string) => truncate(file, 0)],
  ])('a weights file that is %s is refused by name', async (_, spoil) => {
    const copy = at('spoilt');
    await cp(at('base'), copy, { recursive: true });
    await spoil(join(copy, 'model.safetensors'));
    expect(await fault(2, ...predict(copy))).toMatch(/model\.safetensors: not a whole safetensors file/);
    expect(await fault(2, 'eval', '--model', copy, '--data', at('data', 'val.json'))).toContain('model.safetensors');
  });

  it('a folder that is no model', async () => {
    expect(await fault(2, ...predict(at('data')))).toContain('config.json: not found');
  });
});

describe.skipIf(process.platform === 'win32')('a full disk', () => {
  it('fails the checkpoint by name, keeps the one before whole, and --resume goes on when there is space', async () => {
    const expected = await home.losses('whole');
    // As a run looks that was stopped after step 2.
    await cp(at('whole'), at('full'), { recursive: true });
    for (const later of ['checkpoints/checkpoint-4', 'checkpoints/checkpoint-6', 'best', 'adapter'])
      await rm(at('full', later), { recursive: true });
    const before = await readdir(at('full', 'checkpoints', 'checkpoint-2'));

    const resume = [...TRAIN(), '--output', at('full'), '--resume'];
    const full = await texlensWithin('-f 40', ...resume, '--json');
    expect(full.code, full.stderr).toBe(1);
    expect(full.stderr).toMatch(/checkpoint-4: could not be written.*free space and run again with --resume/);
    expect(lastJson(full.stdout)).toMatchObject({ error: { kind: 'run' } });
    expect(await readdir(at('full', 'checkpoints'))).toEqual(['checkpoint-2']);
    expect(await readdir(at('full', 'checkpoints', 'checkpoint-2'))).toEqual(before);
    expect(await readdir(at('full'))).not.toContain('adapter');

    const resumed = await texlensHere(...resume);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await home.losses('full')).toEqual(expected);
    const adapter = (folder: string) => readFile(at(folder, 'adapter', 'adapter_model.safetensors'));
    expect((await adapter('full')).equals(await adapter('whole'))).toBe(true);
  });
});
