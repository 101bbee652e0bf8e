// Training samples that one worker thread of `data.draw` draws, tidies, sizes and tokenises in a second of processor time,
// as recipes/base-2-formulas.yaml has it: style wild, level hard, 45 % of the lines varied, an em of 26, the bundled base's
// tokenizer. Beside it what the time goes to, by the profiler's samples of the same tasks on this thread. `first` is each
// line's first time, `again` a second pass, when the layouts of plain lines are at hand. The lists are the grammar's
// formulas, or the files named, of which `count` lines are taken evenly. The last line is JSON.
// Run: node bench/run.mjs draw [--count 1000] [--looks 1] [list.txt ...]

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formulasIn } from '../src/data/synthetic/formula_lists.ts';
import { randomFormula } from '../src/data/synthetic/grammar.ts';
import { openThreads } from '../src/data/threads.ts';
import drawShare, { type DrawnShare, type DrawTask } from '../src/train/draw_worker.ts';
import { round } from './statistics.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string', default: '1000' }, looks: { type: 'string', default: '1' } },
});
const count = Number(values.count);
const looks = Number(values.looks);
/** Samples of one task, as the training has it. */
const SHARE = 32;

/** What the files do; a moment belongs to the innermost call that is named here. */
const STAGES: readonly (readonly [stage: string, files: RegExp])[] = [
  ['typesetting', /mathjax|synthetic\/(typeset|svg_tree|glyphs)/],
  ['glyphs and pen', /synthetic\/(outline|placed|geometry|handwritten|skeleton|picture)/],
  ['raster', /synthetic\/raster/],
  ['effects', /synthetic\/augment\//],
  ['formula', /synthetic\/|shared\/random/],
  ['cut and resize', /formats\/(tidy\/frame|image)/],
  ['tidying', /formats\/tidy\//],
  ['tokens', /tokenizer|chat_template/],
  ['patches', /qwen2_vl\//],
  ['share', /train\/draw_worker/],
];

const folder = mkdtempSync(join(tmpdir(), 'texlens-bench-'));
const list = join(folder, 'list.txt');
const lines =
  positionals.length > 0
    ? evenly(formulasIn(positionals))
    : Array.from({ length: count }, (_, i) => randomFormula(9, i, 'hard'));
writeFileSync(list, lines.join('\n'));

function evenly(all: readonly string[]): string[] {
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
}

const draw = {
  seed: 2,
  style: 'wild',
  level: 'hard',
  formulas: [list],
  grammar: 0.08,
  varied: 0.45,
  looks,
  apart: count,
} as const;
const common = { draw, model: 'models/base', sizing: { minPixels: 784, maxPixels: 235_200 }, tidying: { em: 26 } };

function tasks(from: number): DrawTask[] {
  return Array.from({ length: Math.ceil(count / SHARE) }, (_, k) => {
    const start = from + k * SHARE;
    const indices = Array.from({ length: Math.min(SHARE, from + count - start) }, (_, i) => start + i);
    return { ...common, indices, prompt: '\\LaTeX' };
  });
}

/** Of work, the processor's seconds of the whole process and those by the clock. */
async function timed(work: () => Promise<void>): Promise<{ busy: number; clock: number }> {
  const [started, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { busy: (user + system) / 1e6, clock: (performance.now() - started) / 1000 };
}

/** Shares of the time by stage, of work on this thread. */
async function profiled(work: () => Promise<void>): Promise<Record<string, number>> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 500 });
  await session.post('Profiler.start');
  await work();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const sums = new Map<string, number>();
  let total = 0;
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const visit = (id: number, outer: string): void => {
    const { callFrame, hitCount = 0, children = [] } = nodes.get(id)!;
    const { functionName, url } = callFrame;
    if (functionName === '(idle)' || functionName === '(program)') return;
    const stage =
      functionName === '(garbage collector)'
        ? 'garbage'
        : (STAGES.find(([, files]) => files.test(url.replace(/^.*\.cache\/bench/, '')))?.[0] ?? outer);
    sums.set(stage, (sums.get(stage) ?? 0) + hitCount);
    total += hitCount;
    for (const child of children) visit(child, stage);
  };
  visit(profile.nodes[0]!.id, 'other');
  const sorted = [...sums].filter(([, hits]) => hits > 0).sort(([, a], [, b]) => b - a);
  return Object.fromEntries(sorted.map(([stage, hits]) => [stage, round(hits / total, 3)]));
}

async function drawn(from: number, run: (task: DrawTask) => DrawnShare | Promise<DrawnShare>): Promise<void> {
  for (const task of tasks(from)) await run(task);
}

try {
  const results: Record<string, object> = {};
  const threads = await openThreads<DrawTask, DrawnShare>(
    new URL('../src/train/drawn_samples.js', import.meta.url).href,
    ...(['draw_worker', 1, () => import('../src/train/draw_worker.ts')] as const),
  );
  // Glyphs, tokenizer and compiler warm up on other formulas.
  const warm = { ...draw, formulas: [], seed: 4 };
  const warming = { ...common, draw: warm, indices: Array.from({ length: 300 }, (_, i) => i), prompt: '\\LaTeX' };
  await threads.run(warming);
  await drawShare(warming);
  for (const [pass, from] of [
    ['first', 0],
    ['again', count],
  ] as const) {
    const { busy, clock } = await timed(() => drawn(from, threads.run));
    const shares = await profiled(() => drawn(from, drawShare));
    results[pass] = { perProcessorSecond: round(count / busy, 1), perSecond: round(count / clock, 1), shares };
    console.log(`${pass}: ${round(count / busy, 1)} samples a second of processor time`);
    for (const [stage, share] of Object.entries(shares))
      console.log(
        `  ${stage.padEnd(16)} ${(100 * share).toFixed(1).padStart(5)} %  ${((1e3 * share * busy) / count).toFixed(3)} ms`,
      );
  }
  await threads.close();
  console.log(JSON.stringify({ bench: 'draw', count, looks, lists: positionals.length, results }));
} finally {
  rmSync(folder, { recursive: true });
}
