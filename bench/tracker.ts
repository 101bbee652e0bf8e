// What recording costs: microseconds of the training thread a log call, a long run opened to what charts draw, a thousand
// runs listed. The last line is JSON. bench/peers/tracker.py makes the same log calls to SwanLab.
// Run: node bench/run.mjs tracker
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createRun, listRuns, openRun, type RunOptions } from '../src/tracker/index.ts';

const METRICS = 20;
const STEPS = 100_000;
const RUNS = 1000;

const home = await mkdtemp(join(tmpdir(), 'texlens-bench-'));
const quiet = { captureConsole: false, systemEverySeconds: 0 };
const names = Array.from({ length: METRICS }, (_, i) => `train/metric_${i}`);
const valuesOf = (count: number, step: number): Record<string, number> =>
  Object.fromEntries(names.slice(0, count).map((name, i) => [name, Math.fround(Math.sin(step / 100 + i))]));

/**
 * Log calls of `count` metrics, 50 every 5 ms. `callUs` is the median time of a call; `threadUs` all CPU time that the
 * process spent more than one that only waits, a call: writing out, run.json and exporters included.
 */
async function logging(folder: string, count: number, options: Partial<RunOptions>) {
  const calls = 20_000;
  const values = valuesOf(count, 1);
  const loop = async (call: (step: number) => void): Promise<number> => {
    const before = process.cpuUsage();
    for (let step = 1; step <= calls; step++) {
      call(step);
      if (step % 50 === 0) await new Promise((next) => setTimeout(next, 5));
    }
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const run = await createRun({ folder: join(home, folder), ...quiet, ...options });
  for (let step = 0; step < 2000; step++) run.log(values, step);
  await run.flush();
  const times: number[] = [];
  const idle = await loop(() => void times.push(performance.now() - performance.now()));
  times.length = 0;
  const busy = await loop((step) => {
    const start = performance.now();
    run.log(values, 2000 + step);
    times.push(performance.now() - start);
  });
  await run.finish();
  times.sort((a, b) => a - b);
  const at = (share: number): number => round(1000 * (times[Math.floor(share * times.length)] as number));
  return {
    metrics: count,
    callUs: at(0.5),
    p99Us: at(0.99),
    maxUs: at(0.9999),
    processCpuUs: round((busy - idle) / calls),
  };
}

const round = (value: number): number => Math.round(value * 100) / 100;

try {
  const five = await logging('five', 5, {});
  const twenty = await logging('twenty', METRICS, {});
  const exported = await logging('exported', 5, { exporters: ['swanlab', 'tensorboard'] });
  for (const result of [five, twenty, exported]) console.log(JSON.stringify(result));

  const long = await createRun({ folder: join(home, 'long'), ...quiet });
  for (let step = 1; step <= STEPS; step++) {
    long.log(valuesOf(METRICS, step), step);
    if (step % 5000 === 0) await long.flush();
  }
  await long.finish();
  const { size } = await stat(join(home, 'long', 'scalars.jsonl'));
  const opened: number[] = [];
  const openedCpu: number[] = [];
  let points = 0;
  for (let i = 0; i < 3; i++) {
    const [start, before] = [performance.now(), process.cpuUsage()];
    const run = await openRun(join(home, 'long'));
    points = run.series().series.reduce((sum, { values }) => sum + values.length, 0);
    opened.push(performance.now() - start);
    const { user, system } = process.cpuUsage(before);
    openedCpu.push((user + system) / 1000);
  }
  const run = await openRun(join(home, 'long'));
  const start = performance.now();
  run.series();
  const redraw = performance.now() - start;
  console.log(
    `${STEPS} steps × ${METRICS} metrics (${Math.round(size / 2 ** 20)} MiB): open ${opened.map(Math.round).join(', ')} ms, ${points} points to draw`,
  );

  const one = await readFile(join(home, 'long', 'run.json'), 'utf8');
  for (let i = 0; i < RUNS; i++) {
    await mkdir(join(home, 'many', `run-${i}`), { recursive: true });
    await writeFile(join(home, 'many', `run-${i}`, 'run.json'), one);
  }
  const listed: number[] = [];
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    const { runs } = await listRuns(join(home, 'many'));
    if (runs.length !== RUNS) throw new Error(`listed ${runs.length}`);
    listed.push(performance.now() - begin);
  }
  console.log(`${RUNS} runs listed in ${listed.map(Math.round).join(', ')} ms`);

  console.log(
    JSON.stringify({
      bench: 'tracker',
      log: { five, twenty, withSwanlabAndTensorboard: exported },
      open: {
        steps: STEPS,
        metrics: METRICS,
        firstMs: Math.round(opened[0] as number),
        bestMs: Math.round(Math.min(...opened)),
        cpuMs: Math.round(Math.min(...openedCpu)),
        redrawMs: round(redraw),
      },
      list: { runs: RUNS, firstMs: Math.round(listed[0] as number), bestMs: Math.round(Math.min(...listed)) },
      node: process.version,
    }),
  );
} finally {
  await rm(home, { recursive: true, force: true });
}
