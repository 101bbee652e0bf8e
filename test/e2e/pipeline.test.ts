// The whole job through the built command line: new model, data, training, kill and resume, evaluation, prediction.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compactLatex } from '../../src/eval/compact.ts';
import { parsing } from '../../src/eval/syntax.ts';
import { openRun, readMeta } from '../../src/tracker/reader.ts';
import { createRun } from '../../src/tracker/run.ts';
import { jsonLines, lastJson, MAIN, texlens, texlensHere, type Workspace, workspace } from './cli.ts';

describe('from nothing to LaTeX', () => {
  let home: Workspace;
  let config: string;
  const at = (...parts: string[]) => home.at(...parts);

  beforeAll(async () => {
    home = await workspace();
    config = at('run.yaml');
  });
  afterAll(() => home.remove());

  it('a prepared folder is left as it is by the same command, which says so', async () => {
    const again = await texlens(
      ...['prepare', '--source', 'synthetic', '--count', '40', '--out', at('data'), '--val-count', '4', '--json'],
    );
    expect(lastJson(again.stdout)).toMatchObject({ count: 40, train: 36, val: 4, already: true });
  });

  it('a run killed at any moment and resumed repeats the same losses to the bit', async () => {
    const whole = await texlens('train', config, '--json', '--track', 'swanlab', '--track', 'tensorboard');
    expect(whole.stderr).toMatch(/swanlab sync \S+run-\d{8}_\d{6}-/);
    expect(whole.stderr).toMatch(/tensorboard --logdir \S+whole/);
    expect(whole.stderr).toContain('done: 8 steps');
    expect(lastJson(whole.stdout)).toMatchObject({ steps: 8 });
    expect(whole.stderr).toMatch(/vision {2,}[\d,]+ parameters, frozen \(freeze\.vision\)/);
    // 3 layers × 4 × (192 + 192)
    expect(whole.stderr).toMatch(/layers\.0–2\.self_attn\.q_proj +r 4, 4,608\n/);
    expect(whole.stderr).toMatch(/memory: \d+\.\d+ GiB of tensors .*\ntime: about \d+ s for 8 steps/);
    const expected = await home.losses('whole');
    expect(expected).toHaveLength(8);

    const child = spawn(process.execPath, [MAIN, 'train', config, '--output', at('killed')], { stdio: 'ignore' });
    while ((await home.losses('killed')).length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect((await readMeta(at('killed')))?.status).toBe('crashed');
    const resumed = await texlens('train', config, '--output', at('killed'), '--resume');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await home.losses('killed')).toEqual(expected);
    const record = await openRun(at('killed'));
    expect(record.meta).toMatchObject({ status: 'finished', step: 8, sessions: [{ step: 0 }, {}] });
    expect(record.evaluations()).toMatchObject([{ step: 8, rows: [{ image: expect.any(String) }, {}] }]);
    expect((await record.console()).lines.map(({ line }) => line)).toContainEqual(expect.stringMatching(/^memory: /));
    const adapter = (folder: string) => readFile(at(folder, 'adapter', 'adapter_model.safetensors'));
    expect((await adapter('killed')).equals(await adapter('whole'))).toBe(true);
  });

  it('a run ended by Ctrl-C is told as aborted, to its exporters too; the dashboard beside it ends with it', async () => {
    const flags = ['--output', at('ended'), '--epochs', '1000', '--track', 'swanlab', '--ui', '--json'];
    const child = spawn(process.execPath, [MAIN, 'train', config, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].on('data', (chunk: Buffer) => {
        said[name] += chunk.toString();
      });
    while ((await home.losses('ended')).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    const address = /http:\/\/127\.0\.0\.1:\d+\//;
    await expect.poll(() => said.stderr, { timeout: 20_000 }).toMatch(address);
    const dashboard = address.exec(said.stderr)![0];
    expect(await (await fetch(`${dashboard}api/runs`)).text()).toContain('"ended"');
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.once('close', resolve)), said.stderr).toBe(130);
    expect(lastJson(said.stdout)).toMatchObject({ error: { kind: 'interrupted' } });
    await expect(fetch(dashboard)).rejects.toThrow();
    expect(said.stderr).toMatch(/swanlab sync \S+run-/); // said when SwanLab's folder has its finish record
    expect(await readMeta(at('ended'))).toMatchObject({ status: 'aborted', error: null });
  });

  it('evaluates and predicts with the adapter', async () => {
    const model = ['--model', at('base'), '--adapter', at('whole', 'adapter')];
    const scored = await texlens('eval', ...model, '--data', at('data', 'val.json'), '--max-new-tokens', '8', '--json');
    expect(scored.code, scored.stderr).toBe(0);
    const scores = lastJson(scored.stdout);
    expect(scores).toMatchObject({ count: 4, exactMatch: expect.any(Number), editDistance: expect.any(Number) });
    const image = at('data', 'images', '000000.png');
    const read = await texlens('predict', image, ...model, '--max-new-tokens', '8', '--json');
    expect(lastJson(read.stdout)).toMatchObject({ image, latex: expect.any(String), confidence: expect.any(Number) });
  });

  it('compares adapters and the bare base, and reports on one page', async () => {
    const adapters = ['whole', 'killed'].map((run) => at(run, 'adapter'));
    const report = at('pages', 'report.html');
    const flags = ['--data', at('data', 'val.json'), '--max-new-tokens', '8', '--base', '--report', report, '--json'];
    const { code, stdout, stderr } = await texlensHere(
      ...['eval', ...adapters.flatMap((adapter) => ['--adapter', adapter]), ...flags],
    );
    expect(code, stderr).toBe(0);
    const { runs, definitions } = lastJson(stdout) as { runs: Record<string, unknown>[]; definitions: object };
    expect(runs).toMatchObject([
      { name: 'base', adapter: null, count: 4, exactMatch: expect.any(Number), editDistance: expect.any(Number) },
      { name: adapters[0], adapter: adapters[0], count: 4, dropped: 0, byLength: expect.any(Array) },
      { name: adapters[1], adapter: adapters[1] },
    ]);
    // The two adapters are equal, bit for bit.
    expect({ ...runs[2], name: '', adapter: '' }).toEqual({ ...runs[1], name: '', adapter: '' });
    expect(definitions).toHaveProperty('editDistance');
    const page = await readFile(report, 'utf8');
    for (const { name } of runs) expect(page).toContain(name as string);
    expect(page).toContain('data:image/png;base64,');
  });

  it('streams one image to a terminal token by token, and the text is the one that a pipe gets', async () => {
    const args = ['predict', at('data', 'images', '000000.png'), '--adapter', at('whole', 'adapter')];
    const sampled = [...args, '--max-new-tokens', '12', '--temperature', '5', '--no-second-look'];
    const piped = await texlensHere(...sampled);
    expect(piped.code, piped.stderr).toBe(0);
    const { isTTY } = process.stdout;
    process.stdout.isTTY = true;
    const streamed = await texlensHere(...sampled).finally(() => {
      process.stdout.isTTY = isTTY;
    });
    // The words of the model, until they are read to the end and spelled.
    const { stdout: words } = await texlensHere(...sampled, '--spelling', 'as-written');
    expect(streamed.stdout.startsWith(words), streamed.stdout).toBe(true);
    expect(streamed.stdout.endsWith(piped.stdout), streamed.stdout).toBe(true);
    expect(piped.stdout).toBe(`${compactLatex(words.slice(0, -1))}\n`);
    expect(piped.writes).toHaveLength(1);
    // How many tokens are drawn before a stop token hangs on the training above, so no number is asked for.
    expect(streamed.writes.filter((text) => text.trim() !== '').length).toBeGreaterThan(piped.writes.length);
  });

  it('prints a JSON line an image, as each is done', async () => {
    const read = await texlensHere(
      ...['predict', at('data', 'images'), '--model', at('base'), '--max-new-tokens', '2', '--batch', '16', '--json'],
    );
    const lines = jsonLines(read.stdout);
    expect(lines).toHaveLength(40);
    expect(new Set(lines.map(({ image }) => image)).size).toBe(40);
    for (const line of lines)
      expect(line).toEqual({
        image: expect.any(String),
        latex: expect.any(String),
        confidence: expect.any(Number),
        look: expect.stringMatching(/^(first|mended|second)$/),
        stop: expect.stringMatching(/^(stop_token|length)$/),
      });
  });

  it('looks again at what KaTeX cannot parse, unless told not to', async () => {
    const args = ['predict', at('data', 'images'), '--model', at('base'), '--max-new-tokens', '8', '--json'];
    const read = async (...flags: string[]) => {
      const { code, stdout, stderr } = await texlensHere(...args, '--temperature', '2', ...flags);
      expect(code, stderr).toBe(0);
      return new Map(jsonLines(stdout).map(({ image, latex, look }) => [image, { latex: latex as string, look }]));
    };
    const plain = await read('--no-second-look');
    const again = await read('--second-look', '4');
    expect(new Set([...plain.values()].map(({ look }) => look))).toEqual(new Set(['first']));
    const faulty = [...plain].filter(([, { latex }]) => parsing(latex) !== latex);
    // An untrained model writes one symbol after another, brackets among them.
    expect(faulty.length).toBeGreaterThan(0);
    expect(faulty.length).toBeLessThan(40);
    for (const [image, { latex, look }] of again) {
      const before = plain.get(image)!.latex;
      if (parsing(before) === before) expect([latex, look]).toEqual([before, 'first']);
      else if (look !== 'first') expect(parsing(latex)).toBe(latex);
    }
    expect(faulty.filter(([image]) => again.get(image)!.look !== 'first').length).toBeGreaterThan(0);
  });

  it('without --model takes the bundled one, wherever it is run, and says so when there is none', async () => {
    const bundled = existsSync(new URL('../../models/base/config.json', import.meta.url));
    const cwd = process.cwd();
    process.chdir(at('data'));
    const read = await texlensHere('predict', 'images/000000.png', '--max-new-tokens', '2').finally(() =>
      process.chdir(cwd),
    );
    expect(read.code, read.stderr).toBe(bundled ? 0 : 2);
    if (!bundled) expect(read.stderr).toContain('this package comes without a base model; give one with --model');
  });

  it('trains, evaluates and reads samples of several images, in a list or between marks', async () => {
    const image = (i: number) => at('data', 'images', `00000${i}.png`);
    const marked = (...paths: string[]) => paths.map((path) => `<|vision_start|>${path}<|vision_end|>`).join('');
    const entry = (value: unknown, latex: string) => ({
      id: 'i',
      conversations: [
        { role: 'user', value },
        { role: 'assistant', value: latex },
      ],
    });
    const file = at('several.json');
    await writeFile(
      file,
      JSON.stringify([
        entry(image(0), 'x'),
        entry([image(1), image(2)], 'x + y'),
        entry(`Add ${marked(image(3), image(4), image(5))}`, 'z'),
      ]),
    );
    const output = at('several');
    const flags = ['--train-data', file, '--val-data', file, '--output', output, '--max-steps', '2'];
    const trained = await texlensHere('train', config, ...flags, '--json');
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain('samples: 3 (0 dropped)');
    const model = ['--model', at('base'), '--adapter', at('several', 'adapter'), '--max-new-tokens', '2', '--json'];
    const scored = await texlensHere('eval', ...model, '--data', file);
    expect(lastJson(scored.stdout)).toMatchObject({ count: 3, dropped: 0 });
    const read = await texlensHere('predict', image(1), image(2), '--together', ...model);
    expect(jsonLines(read.stdout)).toEqual([
      {
        image: `${image(1)}, ${image(2)}`,
        latex: expect.any(String),
        confidence: expect.any(Number),
        look: expect.any(String),
        stop: expect.any(String),
      },
    ]);
  });

  it.each([[], ['--overwrite'], ['--resume']])(
    'a run that goes on is left alone by another one (%j)',
    async (...flags) => {
      const running = await createRun({ folder: at('going'), captureConsole: false, systemEverySeconds: 0 });
      const saving = at('going', 'checkpoints', 'checkpoint-4.1.tmp');
      await mkdir(saving, { recursive: true });
      await mkdir(at('going', 'checkpoints', 'checkpoint-2'), { recursive: true });
      const { code, stderr } = await texlensHere('train', config, '--output', at('going'), ...flags);
      expect(code).toBe(2);
      expect(stderr).toContain(`process ${process.pid}`);
      expect(await readdir(at('going', 'checkpoints'))).toEqual(['checkpoint-2', 'checkpoint-4.1.tmp']);
      await running.finish();
      await rm(at('going'), { recursive: true });
    },
  );

  it('resuming with another configuration is refused', async () => {
    const { code, stderr } = await texlens('train', config, '--output', at('killed'), '--resume', '--lr', '0.5');
    expect(code).toBe(2);
    expect(stderr).toContain('another configuration');
  });

  it('resuming on another base of the same words is refused', async () => {
    expect((await texlensHere('init', '--out', at('other'), '--seed', '1')).code).toBe(0);
    const resume = ['--output', at('killed'), '--resume', '--model', at('other')];
    const { code, stderr } = await texlensHere('train', config, ...resume);
    expect(code).toBe(2);
    expect(stderr).toContain('another configuration, other data or another base model');
  });

  it('a new run in the folder of another is refused, and deletes its checkpoints only when told to', async () => {
    const kept = (await readdir(at('killed', 'checkpoints'))).sort();
    const again = ['train', config, '--output', at('killed'), '--max-steps', '1'];
    const { code, stderr } = await texlens(...again);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /killed: holds checkpoints of an earlier run \(steps? [\d, ]+\).*--resume.*--output.*--overwrite/,
    );
    expect((await readdir(at('killed', 'checkpoints'))).sort()).toEqual(kept);
    expect((await texlens(...again, '--overwrite')).code).toBe(0);
    expect(await readdir(at('killed', 'checkpoints'))).toEqual(['checkpoint-1']);
  });
});
