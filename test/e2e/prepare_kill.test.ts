// prepare through the built command line, killed with SIGKILL at fifty seeded moments: what lies there is whole, and the
// same command finishes the work to the bytes of a run that nothing interrupted.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCsv } from '../../src/data/conversation.ts';
import { Random } from '../../src/shared/random.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const ROWS = 100;
const KILLS = 50;
const AT_ONCE = 2;

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'texlens-kill-'));
  const scans = join(home, 'scans');
  await mkdir(scans);
  const lines = ['image,text'];
  for (let i = 0; i < ROWS; i++) {
    const ending = i % 7 === 3 ? 'webp' : 'png';
    // Every twentieth picture comes twice, and some are none.
    const ink = { create: { width: 20 + (i % 20), height: 8 + i, channels: 3 as const, background: '#345' } };
    const canvas = sharp({ create: { width: 60, height: 10 + ROWS, channels: 3, background: '#fff' } });
    await canvas
      .composite([{ input: ink, left: 4, top: 1 }])
      .toFormat(ending)
      .toFile(join(scans, `${i}.${ending}`));
    if (i % 31 === 5) await writeFile(join(scans, `${i}.png`), 'no image');
    lines.push(`${i}.${ending},${i % 17 === 2 ? '\\frac{' : i % 41 === 7 ? '' : `x_{${i}} \\alpha`}`);
    if (i % 20 === 0) lines.push(lines.at(-1)!);
  }
  await writeFile(join(scans, 'labels.csv'), `${lines.join('\n')}\n`);
});
afterAll(() => rm(home, { recursive: true, force: true }));

const FLAGS = ['--normalize', '--shuffle', '--seed', '5'];
const start = (out: string, workers: number): ChildProcess =>
  spawn(
    process.execPath,
    [MAIN, 'prepare', '--source', `folder:${join(home, 'scans')}`, '--out', out, ...FLAGS, '--workers', `${workers}`],
    { stdio: 'ignore' },
  );
const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
    else child.once('exit', (code) => resolve(code));
  });

/** How far a preparation is: finished rows, and five steps around them. */
function progress(out: string): number {
  const lists = ['prepare.json', 'data.csv', 'train.json', 'val.json'].filter((name) => existsSync(join(out, name)));
  const journal = join(out, '.prepare', 'journal.jsonl');
  try {
    return lists.length + readFileSync(journal, 'latin1').split('\n').length - 1;
  } catch {
    return lists.length === 4 ? Number.POSITIVE_INFINITY : lists.length;
  }
}

async function contents(out: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile()) continue;
    const text = await readFile(path, 'latin1');
    found.set(path.slice(out.length), entry.name === 'prepare.json' ? text.replace(/"seconds": [\d.]+/, '') : text);
  }
  return found;
}

it('killed at any moment, the same command finishes to the same bytes', async () => {
  const whole = join(home, 'whole');
  expect(await ended(start(whole, 2))).toBe(0);
  const expected = await contents(whole);
  expect(expected.size).toBeGreaterThan(80);
  const total = ROWS + ROWS / 20;
  let [killed, midway] = [0, 0];

  const killAndResume = async (number: number): Promise<void> => {
    const random = Random.from(number);
    // One in five dies while it starts, the others at a row, some of them while the lists are written.
    const goal = random.float() < 0.2 ? -1 : random.int(total + 6);
    const delay = goal < 0 ? random.range(0, 250) : random.range(0, 12);
    const out = join(home, `killed-${number}`);
    // Threads take longer to start than the work takes; some kills meet them all the same.
    const workers = number % 5 === 0 ? 2 : 1;
    const child = start(out, workers);
    while (goal >= 0 && progress(out) < goal && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill('SIGKILL');
    await ended(child);
    if (child.signalCode === 'SIGKILL') killed++;
    const journal = join(out, '.prepare', 'journal.jsonl');
    if (existsSync(journal) && statSync(journal).size > 0) midway++;

    const left = existsSync(out) ? await contents(out) : new Map<string, string>();
    // An image may be cut, but none that the journal or a list names.
    const named = Array.from(
      `${left.get('/.prepare/journal.jsonl') ?? ''}`.matchAll(/"file":"([^"]+)"/g),
      (m) => m[1]!,
    );
    for (const file of named) expect(left.get(`/images/${file}`), file).toBe(expected.get(`/images/${file}`));
    if (left.has('/data.csv'))
      for (const { image } of await readCsv(join(out, 'data.csv')))
        expect(left.get(image.slice(out.length)), image).toBe(expected.get(image.slice(out.length)));

    expect(await ended(start(out, workers)), `resume ${number}`).toBe(0);
    expect(await contents(out), `resume ${number}`).toEqual(expected);
    await rm(out, { recursive: true });
  };
  const numbers = Array.from({ length: KILLS }, (_, i) => i);
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = numbers.shift(); next !== undefined; next = numbers.shift()) await killAndResume(next);
    }),
  );
  // Else the moments were not what they are meant to be.
  expect(killed).toBeGreaterThanOrEqual(KILLS * 0.8);
  expect(midway).toBeGreaterThanOrEqual(KILLS * 0.4);
}, 400_000);
