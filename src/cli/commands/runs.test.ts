// texlens runs: what it prints and writes of recorded runs, and that it deletes only what was asked for.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createRun } from '../../tracker/run.ts';
import { main } from '../main.ts';

let root: string;

async function runs(...args: string[]) {
  let [stdout, stderr] = ['', ''];
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      stdout += String(text);
      return true;
    }),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      stderr += String(text);
      return true;
    }),
  ];
  try {
    const code = await main(['runs', ...args, '--root', root]);
    const json = args.includes('--json') ? (JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown) : null;
    return { code, stdout, stderr, json };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

async function record(path: string, lr: number): Promise<void> {
  const quiet = { captureConsole: false, systemEverySeconds: 0 };
  const run = await createRun({
    folder: join(root, path),
    tags: ['t\u001b[2J'],
    config: { train: { lr, seed: 1 } },
    ...quiet,
  });
  for (let step = 1; step <= 3; step++)
    run.log({ 'train/loss': lr / step, ...(step === 2 ? { odd: Number.NaN } : {}) }, step);
  await run.evaluation({ step: 3, metrics: { loss: lr }, rows: [] });
  await run.finish();
  await mkdir(join(root, path, 'adapter'));
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'texlens-runs-'));
  await record('first', 1);
  await record('group/second', 2);
  await mkdir(join(root, 'broken'));
  await writeFile(join(root, 'broken', 'run.json'), '{');
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('list, show and compare', () => {
  it('list runs, the newest first, and name damaged ones', async () => {
    const { code, json, stderr } = await runs('list', '--json');
    expect(code).toBe(0);
    expect(json).toMatchObject({
      runs: [
        { path: 'group/second', status: 'finished', step: 3, latest: { 'eval/loss': 2 } },
        { path: 'first', name: 'first' },
      ],
      damaged: [join(root, 'broken')],
    });
    expect(stderr).toContain('broken: its run.json is damaged');
    expect(stderr).toMatch(/^first +finished +3 /m);
    expect(stderr).not.toContain('\u001b');
  });

  it('show one run by path, name or the start of its id', async () => {
    const { json } = await runs('show', 'group/second', '--json');
    expect(json).toMatchObject({
      path: 'group/second',
      config: { train: { lr: 2 } },
      metrics: ['eval/loss', 'odd', 'train/loss'],
    });
    const { id } = json as { id: string };
    for (const word of ['second', id, id.slice(0, 8)])
      expect((await runs('show', word, '--json')).json).toMatchObject({ id });
    expect((await runs('show', 'second')).stderr).toMatch(/^train\/loss +0\.666667 +0\.666667 +2 +3$/m);
  });

  it('show as many printed lines as asked, none too', async () => {
    const folder = join(root, 'first');
    const line = (text: string): string => `${JSON.stringify({ time: 1, level: 'out', line: text })}\n`;
    await writeFile(join(folder, 'console.jsonl'), ['one', 'two', 'three'].map(line).join(''));
    expect((await runs('show', 'first')).stderr).toMatch(/\| one\n\| two\n\| three/);
    expect((await runs('show', 'first', '--log', '2')).stderr).toMatch(/(?<!one\n)\| two\n\| three/);
    expect((await runs('show', 'first', '--log', '0')).stderr).not.toContain('| ');
    for (const n of ['many', '-1', '1.5']) expect((await runs('show', 'first', '--log', n)).code).toBe(2);
  });

  it('compare settings that differ, and values', async () => {
    const { json, stderr } = await runs('compare', 'first', 'second', '--json');
    expect(json).toMatchObject({
      config: { 'train.lr': ['1', '2'] },
      latest: { 'eval/loss': [1, 2], odd: ['NaN', 'NaN'], 'train/loss': [1 / 3, 2 / 3] },
    });
    expect(stderr).not.toContain('train.seed');
  });

  it('refuse what is no run, and say what there is', async () => {
    for (const word of ['none', '../..', '/etc', '']) {
      const { code, stderr } = await runs('show', word);
      expect(code).toBe(2);
      expect(stderr).toMatch(/no such run.*(first|second)/);
    }
    expect((await runs('show', 'broken')).stderr).toContain('no such run');
  });
});

describe('export', () => {
  it('as CSV, a column a metric', async () => {
    const file = join(root, 'out.csv');
    expect((await runs('export', 'first', '--out', file, '--json')).json).toMatchObject({ file });
    const rows = parse(await readFile(file, 'utf8'), { columns: true }) as Record<string, string>[];
    expect(rows.map(({ step, 'train/loss': loss, odd }) => [step, loss, odd])).toEqual([
      ['1', '1', ''],
      ['2', '0.5', 'NaN'],
      ['3', String(1 / 3), ''],
      ['3', '', ''],
    ]);
  });

  it('as JSON, everything', async () => {
    const file = join(root, 'out.json');
    await runs('export', 'first', '--format', 'json', '--out', file);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      run: { name: 'first' },
      scalars: [{ step: 1, values: { 'train/loss': 1 } }, {}, {}, {}],
      events: [{ type: 'evaluation', step: 3 }],
    });
  });

  it('as TensorBoard files', async () => {
    const { json } = await runs('export', 'first', '--format', 'tensorboard', '--json');
    expect(json).toMatchObject({ place: join(root, 'first', 'tensorboard') });
    expect(existsSync(join(root, 'first', 'tensorboard', 'images'))).toBe(true);
  });
});

describe('delete', () => {
  it('asks first, keeps models, and removes all only when told to', async () => {
    const asked = await runs('delete', 'first');
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('give --yes');
    expect(existsSync(join(root, 'first', 'run.json'))).toBe(true);

    expect((await runs('delete', 'first', '--yes', '--json')).json).toEqual({ deleted: ['first'], models: false });
    expect(existsSync(join(root, 'first', 'run.json'))).toBe(false);
    expect(existsSync(join(root, 'first', 'tensorboard'))).toBe(false);
    expect(existsSync(join(root, 'first', 'adapter'))).toBe(true);
    // Named twice, by its path and its name, it is one.
    const twice = await runs('delete', 'group/second', 'second', '--yes', '--models', '--json');
    expect(twice.json).toEqual({ deleted: ['group/second'], models: true });
    expect(existsSync(join(root, 'group', 'second'))).toBe(false);
  });

  it('refuses a run that is being written', async () => {
    const run = await createRun({ folder: join(root, 'live'), captureConsole: false, systemEverySeconds: 0 });
    const { code, stderr } = await runs('delete', 'live', '--yes');
    expect(code).toBe(2);
    expect(stderr).toContain(`being written by process ${process.pid}`);
    await run.finish();
  });
});
