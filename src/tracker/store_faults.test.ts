// The run store where something is wrong: cut anywhere, damaged, from hostile hands, on a disk that refuses.
import { appendFile, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { at, image, record, said, useHome } from '../../test/run_store.ts';
import { listRuns, openRun } from './reader.ts';

useHome();

describe('a damaged store', () => {
  it('opens with what is whole, cut at any byte, and can be written on', async () => {
    const run = await record('cut');
    for (let step = 1; step <= 3; step++) run.log({ lößs: step }, step);
    await run.evaluation({ step: 3, metrics: { a: 1 }, rows: [] });
    await run.finish();
    const files = ['scalars.jsonl', 'events.jsonl'];
    for (const file of files) {
      const whole = await readFile(at('cut', file));
      for (let length = 0; length <= whole.length; length++) {
        await writeFile(at('cut', file), whole.subarray(0, length));
        const lines = whole.subarray(0, length).toString('latin1').split('\n').length - 1;
        const read = await openRun(at('cut'));
        const found = file === 'events.jsonl' ? read.evaluations().length : [...read.rows()].length;
        expect([length, found, read.damaged]).toEqual([length, lines, {}]);
      }
    }
    const scalars = await readFile(at('cut', 'scalars.jsonl'));
    await writeFile(at('cut', 'scalars.jsonl'), scalars.subarray(0, scalars.length - 40));
    const again = await record('cut', { resume: 3 });
    again.log({ lößs: 4 }, 4);
    await again.finish();
    const read = await openRun(at('cut'));
    expect(read.damaged).toEqual({});
    expect([...read.rows()].map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  });

  it('passes over damaged lines and counts them', async () => {
    const run = await record('damaged');
    run.log({ loss: 1 }, 1);
    await run.finish();
    const odd = [
      '\u0000\u0000\u0000',
      '{"step":-1,"time":1,"values":{"loss":9}}',
      '{"step":1.5,"time":1,"values":{"loss":9}}',
      '{"step":2,"time":1}',
      '{"step":2,"values":{"loss":9}}',
      'null',
      '[]',
    ];
    await appendFile(
      at('damaged', 'scalars.jsonl'),
      `${odd.join('\n')}\n{"step":2,"time":1,"values":{"loss":2,"x":"1"}}\n`,
    );
    await appendFile(at('damaged', 'events.jsonl'), 'no json\n{"type":"unknown"}\n{"type":"text","step":1,"time":1}\n');
    await appendFile(at('damaged', 'console.jsonl'), '{"time":1}\n');
    const read = await openRun(at('damaged'));
    expect(read.damaged).toEqual({ 'scalars.jsonl': odd.length, 'events.jsonl': 3 });
    expect(read.series(['loss']).series[0]?.values).toEqual([1, 2]);
    expect((await read.console()).lines).toEqual([]);
  });

  it('is named, and does not keep the others from being listed', async () => {
    const root = at('list');
    for (const name of ['a', 'group/b', '.hidden/c']) await (await record(join('list', name))).finish();
    await mkdir(join(root, 'broken'));
    await writeFile(join(root, 'broken', 'run.json'), '{"schema":1');
    await mkdir(join(root, 'none'));
    const { runs, damaged } = await listRuns(root);
    expect(runs.map(({ path }) => path).sort()).toEqual(['a', 'group/b']);
    expect(damaged).toEqual([join(root, 'broken')]);
    await expect(openRun(join(root, 'broken'))).rejects.toThrow('run.json');
    await expect(openRun(join(root, 'none'))).rejects.toThrow('is no run');
    expect((await listRuns(at('absent'))).runs).toEqual([]);
  });
});

describe('hostile input', () => {
  it('names, keys and texts are only ever text', async () => {
    const bad = ['../../escape', '__proto__', 'constructor', '', '\n{"step":99,"time":1,"values":{}}', '\u001b[2J'];
    const run = await record('hostile', { name: bad[0], project: bad[5], tags: bad, notes: bad[4] });
    run.log(Object.fromEntries(bad.map((key, i) => [key, i])), 1);
    for (const key of bad) run.text(key, key, 1);
    const path = image('rgb.png');
    await run.evaluation({
      step: 1,
      metrics: {},
      rows: [{ image: path, truth: bad[4]!, prediction: bad[0]!, metrics: {} }],
    });
    await run.finish();
    const read = await openRun(at('hostile'));
    expect(read.damaged).toEqual({});
    expect(read.meta).toMatchObject({ name: bad[0], project: bad[5], tags: bad, notes: bad[4] });
    expect(read.keys()).toEqual([...bad].sort());
    expect(read.series(['__proto__']).series[0]?.values).toEqual([1]);
    const [row] = [...read.rows()];
    expect(Object.keys(row?.values ?? {}).sort()).toEqual([...bad].sort());
    expect(read.texts().map(({ text }) => text)).toEqual(bad);
    expect((await readdir(at())).includes('escape')).toBe(false);
  });

  it('an image is what its bytes say, and lands in the run', async () => {
    await writeFile(at('page.png'), '<script>alert(1)</script>');
    await cp(image('rgb.png'), at('..hidden'));
    const run = await record('images');
    const words = await said(async () => {
      await run.image('../x', [{ path: at('page.png') }, { path: at('..hidden') }, { path: at('absent.png') }], 1);
      await run.image('x', [{ path: at('page.png') }], 2);
    });
    expect(words.match(/page\.png: cannot be copied/g)).toHaveLength(1); // told once
    expect(words).toContain('absent.png: cannot be copied');
    await run.finish();
    const read = await openRun(at('images'));
    expect(read.images()).toMatchObject([{ images: [{ file: expect.stringMatching(/^[0-9a-f]{16}\.png$/) }] }]);
  });

  it('media gives out nothing but images of the run', async () => {
    const run = await record('media');
    await run.image('x', [{ path: image('rgb.png') }], 1);
    await run.finish();
    const read = await openRun(at('media'));
    const name = read.images()[0]?.images[0]?.file as string;
    expect(await read.media(name)).toBe(at('media', 'media', name));
    for (const other of ['../run.json', '..%2frun.json', `${name}/..`, 'run.json', '/etc/passwd', '', `./${name}`])
      expect(await read.media(other)).toBeNull();
    await writeFile(at('secret.png'), 'secret');
    const link = 'fedcba9876543210.png';
    await symlink(at('secret.png'), at('media', 'media', link));
    expect(await read.media(link)).toBeNull();
    await rm(at('media', 'media'), { recursive: true });
    await mkdir(at('elsewhere'));
    await cp(image('rgb.png'), at('elsewhere', name));
    await symlink(at('elsewhere'), at('media', 'media'));
    expect(await read.media(name)).toBeNull();
  });
});

describe('faults at work', () => {
  it('a store that cannot be written is told once, and the run goes on', async () => {
    await writeFile(at('file'), 'in the way');
    const words = await said(async () => {
      const run = await record(join('file', 'run'));
      for (let step = 0; step < 10; step++) run.log({ loss: step }, step);
      await run.flush();
      await run.evaluation({ step: 9, metrics: { a: 1 }, rows: [] });
      await run.finish();
    });
    expect(words.match(/cannot be recorded/g)).toHaveLength(1);
    expect(words.match(/cannot be written/g)).toHaveLength(1);
  });

  it('wrong calls are told once and lose only themselves', async () => {
    const run = await record('wrong');
    const words = await said(async () => {
      for (let i = 0; i < 3; i++) run.log({ text: 'a' as never, loss: 1 }, i);
      run.log({ loss: 1 }, -1);
      run.log({ loss: 1 }, 0.5);
      run.log({ loss: 1 }, 1e300);
      await run.finish();
      run.log({ loss: 1 }, 9);
      await run.finish();
    });
    expect(words.match(/'text' expected a number, got string/g)).toHaveLength(1);
    expect(words).toContain('got -1');
    expect(words).toContain('after the run had ended');
    expect((await openRun(at('wrong'))).series(['loss']).series[0]?.steps).toEqual([0, 1, 2]);
  });
});
