// The run store: what is recorded comes back, while it is written and after a crash.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { at, image, record, said, useHome } from '../../test/run_store.ts';
import { deleteRecords } from './manage.ts';
import { openRun, type RunReader, readMeta } from './reader.ts';

useHome();

describe('a run', () => {
  it('comes back as it was recorded', async () => {
    const run = await record('whole', { name: 'n', tags: ['a'], notes: 'why', config: { lr: 1e-7 } });
    for (let step = 1; step <= 10; step++)
      run.log({ 'train/loss': 1 / step, 'train/odd': step === 3 ? Number.NaN : step }, step);
    const rows = [{ image: image('rgb.png'), truth: 'a', prediction: 'b', metrics: { exact_match: 0 } }];
    await run.evaluation({ step: 10, metrics: { loss: 0.5 }, rows });
    await run.image('samples', [{ path: image('rgb.png'), caption: 'c' }, { path: image('cmyk.tif') }], 2);
    run.text('note', 'ünïcode\nlines', 4);
    run.checkpoint({ step: 10, path: 'checkpoints/checkpoint-10' });
    await run.finish({ summary: { best: 0.5 } });

    const read = await openRun(at('whole'));
    expect(read.meta).toMatchObject({
      ...{ name: 'n', tags: ['a'], notes: 'why', status: 'finished', step: 10, error: null, config: { lr: 1e-7 } },
      latest: { 'train/loss': 0.1, 'train/odd': 10, 'eval/loss': 0.5 },
      summary: { best: 0.5 },
      environment: { node: process.version },
      git: { commit: expect.stringMatching(/^[0-9a-f]{40}$/) },
    });
    expect(read.keys()).toEqual(['eval/loss', 'train/loss', 'train/odd']);
    const [loss, odd] = read.series(['train/loss', 'train/odd']).series;
    expect(loss?.steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(loss?.values).toEqual(loss?.steps.map((step) => 1 / step));
    expect(odd?.values[2]).toBeNaN();
    const [evaluation] = read.evaluations();
    expect(evaluation).toMatchObject({
      step: 10,
      metrics: { loss: 0.5 },
      rows: [{ source: rows[0]?.image, truth: 'a' }],
    });
    const copy = await read.media(evaluation?.rows[0]?.image as string);
    expect(await readFile(copy as string)).toEqual(await readFile(image('rgb.png')));
    // The same image stands there once; TIFF, which no browser shows, became PNG.
    expect(await readdir(at('whole', 'media'))).toHaveLength(2);
    expect(read.images()).toMatchObject([
      { key: 'samples', images: [{ file: evaluation?.rows[0]?.image, caption: 'c' }, {}] },
    ]);
    expect(read.texts()).toMatchObject([{ key: 'note', text: 'ünïcode\nlines', step: 4 }]);
    expect(read.checkpoints()).toMatchObject([{ step: 10, path: 'checkpoints/checkpoint-10', best: false }]);
    expect(read.damaged).toEqual({});
  });

  it('can be followed while it is written, from where the reading stopped', async () => {
    const run = await record('live');
    run.log({ loss: 3 }, 1);
    await run.flush();
    const read = await openRun(at('live'));
    expect(read.meta.status).toBe('running');
    const first = read.series(['loss']);
    expect(first.series[0]?.values).toEqual([3]);
    const seen = new Promise<void>((resolve) => {
      const stop = read.watch(({ scalars }) => {
        if (!scalars) return;
        stop();
        resolve();
      }, 20);
    });
    run.log({ loss: 2, other: 7 }, 2);
    await seen;
    const later = read.series(['loss', 'other', 'absent'], { fromByte: first.nextByte });
    expect(later.series.map(({ steps, values }) => [steps, values])).toEqual([
      [[2], [2]],
      [[2], [7]],
      [[], []],
    ]);
    expect(later.rewind).toBeNull();
    await run.finish();
    const [one, other] = await Promise.all([read.refresh(), read.refresh()]);
    expect(one).toMatchObject({ meta: true, scalars: false });
    expect(other).toEqual(one);
    expect(read.meta.status).toBe('finished');
  });

  it('goes on after the step it is resumed from, and no step stands twice', async () => {
    const run = await record('resumed', { name: 'first' });
    for (let step = 1; step <= 6; step++) run.log({ loss: step }, step);
    await run.evaluation({ step: 5, metrics: { loss: 5 }, rows: [] });
    await run.finish({ error: new Error('out of memory') });
    const read = await openRun(at('resumed'));
    expect(read.meta).toMatchObject({ status: 'failed', error: 'out of memory' });
    const { nextByte } = read.series();

    const again = await record('resumed', { resume: 4 });
    for (let step = 5; step <= 7; step++) again.log({ loss: step * 10 }, step);
    await again.finish();
    await read.refresh();
    const reopened = await openRun(at('resumed'));
    for (const reader of [read, reopened]) {
      expect(reader.series(['loss']).series[0]?.values).toEqual([1, 2, 3, 4, 50, 60, 70]);
      expect(reader.keys()).toEqual(['loss']);
      expect(reader.evaluations()).toEqual([]);
    }
    const slice = read.series(['loss'], { fromByte: nextByte });
    expect(slice).toMatchObject({ rewind: 4, series: [{ steps: [5, 6, 7] }] });
    expect(reopened.meta).toMatchObject({ name: 'first', status: 'finished', error: null, step: 7 });
    expect(reopened.meta.sessions.map(({ step }) => step)).toEqual([0, 4]);
    expect(reopened.meta.id).toBe(run.record.id);
  });

  it('replaces the records of an earlier run, and says so', async () => {
    const first = await record('again');
    first.log({ loss: 1 }, 1);
    await first.finish();
    await writeFile(at('again', 'adapter.bin'), 'kept');
    const words = await said(async () => (await record('again')).finish());
    expect(words).toContain('records of the earlier run are replaced');
    const read = await openRun(at('again'));
    expect(read.keys()).toEqual([]);
    expect(read.meta.id).not.toBe(first.record.id);
    expect(existsSync(at('again', 'adapter.bin'))).toBe(true);
  });

  it('takes nothing of a media folder that is not of its making, begun or deleted', async () => {
    await mkdir(at('own', 'media'), { recursive: true });
    await writeFile(at('own', 'media', 'film.mp4'), 'mine');
    const run = await record('own');
    await run.image('x', [{ path: image('rgb.png') }], 1);
    await run.finish();
    expect(await readdir(at('own', 'media'))).toHaveLength(2);
    await deleteRecords(at('own'));
    expect(await readdir(at('own', 'media'))).toEqual(['film.mp4']);

    await mkdir(at('linked'));
    await symlink(at('own', 'media'), at('linked', 'media'));
    await (await record('linked')).finish();
    expect(existsSync(at('linked', 'media'))).toBe(false);
    expect(await readFile(at('own', 'media', 'film.mp4'), 'utf8')).toBe('mine');
  });

  it('is read anew by who had the earlier one of its folder open', async () => {
    const first = await record('anew');
    for (let step = 1; step <= 9; step++) first.log({ loss: step }, step);
    first.text('note', 'of the first', 1);
    await first.finish();
    const read = await openRun(at('anew'));
    await said(async () => {
      const second = await record('anew', { name: 'second' });
      for (let step = 1; step <= 20; step++) second.log({ other: -step }, step);
      await second.finish();
    });
    expect(await read.refresh()).toMatchObject({ meta: true, scalars: true });
    expect(read.meta.name).toBe('second');
    expect(read.keys()).toEqual(['other']);
    expect(read.series(['other']).series[0]?.total).toBe(20);
    expect(read.texts()).toEqual([]);
    expect(read.damaged).toEqual({});
  });

  it('writes how it stands whatever happens to the clock', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const run = await record('clock');
      vi.setSystemTime(Date.now() - 3_600_000);
      run.log({ loss: 0.5 }, 7);
      await vi.waitFor(async () => expect((await readMeta(at('clock')))?.step).toBe(7), 5000);
      await run.finish();
    } finally {
      vi.useRealTimers();
    }
  });

  it('is written by one process at a time', async () => {
    const run = await record('busy');
    await expect(record('busy')).rejects.toThrow(`process ${process.pid}`);
    await run.finish();
    const both = await Promise.allSettled([record('race'), record('race')]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    for (const one of both) {
      if (one.status === 'rejected') expect(String(one.reason)).toContain(`process ${process.pid}`);
      else await one.value.finish();
    }
    expect(await readdir(at('race'))).toEqual([
      'console.jsonl',
      'events.jsonl',
      'run.json',
      'scalars.jsonl',
      'system.jsonl',
    ]);
  });

  it('records what is printed, a bar’s last state once, and gives the terminal the same', async () => {
    const printed = 'half a line\nanother\u001b[31m red\u001b[0m\nbar 1/3\rbar 2/3\rbar 3/3\n\nno end';
    const words = await said(async () => {
      const run = await record('printed', { captureConsole: true });
      process.stderr.write(printed.slice(0, 7));
      process.stderr.write(Buffer.from(printed.slice(7)));
      await run.finish();
      process.stderr.write('\nafter the end\n');
    });
    expect(words).toContain('half a');
    expect((await (await openRun(at('printed'))).console()).lines).toMatchObject([
      { level: 'err', line: 'half a line' },
      { line: 'another red' },
      { line: 'bar 3/3' },
      { line: 'no end' },
    ]);
  });

  it('looks at the machine', async () => {
    const run = await record('system', { systemEverySeconds: 0.05 });
    await new Promise((wait) => setTimeout(wait, 300));
    await run.finish();
    const [memory] = (await openRun(at('system'))).system(['mem.proc']).series;
    expect(memory?.values.length).toBeGreaterThan(2);
    expect(memory?.values[0]).toBeGreaterThan(1); // MB; no Node process is smaller
  });
});

describe('a run that was killed', () => {
  it('shows as crashed, with everything that was flushed', async () => {
    const script = `
      import { createRun } from ${JSON.stringify(new URL('../../dist/tracker/index.js', import.meta.url).href)};
      const run = await createRun({ folder: ${JSON.stringify(at('killed'))}, systemEverySeconds: 0 });
      for (let step = 1; step <= 1000; step++) run.log({ loss: 1 / step }, step);
      await run.flush();
      console.log('flushed');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect((await readMeta(at('killed')))?.status).toBe('running');
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect((await readMeta(at('killed')))?.status).toBe('crashed');
    expect((await openRun(at('killed'))).series(['loss']).series[0]?.total).toBe(1000);
  });

  it('keeps its last words when it leaves by itself, and tells how it ended', async () => {
    const ending = async (end: string): Promise<RunReader> => {
      const folder = at(`left-${end.length}`);
      const script = `
        import { createRun } from ${JSON.stringify(new URL('../../dist/tracker/index.js', import.meta.url).href)};
        const run = await createRun({ folder: ${JSON.stringify(folder)}, systemEverySeconds: 0 });
        run.log({ loss: 1 }, 1);
        console.log('last words');
        ${end}`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
      await new Promise((resolve) => child.once('exit', resolve));
      return openRun(folder);
    };
    const aborted = await ending('process.exit(130);');
    expect(aborted.meta.status).toBe('aborted');
    expect(aborted.keys()).toEqual(['loss']);
    expect((await aborted.console()).lines.map(({ line }) => line)).toEqual(['last words']);
    expect((await ending('throw new Error("broken");')).meta.status).toBe('failed');
  });
});
