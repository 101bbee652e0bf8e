// The dashboard's server under much data: a folder of 1,000 runs, and one run of 100,000 steps × 20 metrics. Times in
// milliseconds as a page sees them (request to parsed answer); the last line is JSON.
// Run: npx esbuild bench/dashboard.ts --bundle --platform=node --format=esm --packages=external --outfile=node_modules/.cache/bench_dashboard.mjs && node node_modules/.cache/bench_dashboard.mjs
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '../src/server/serve.ts';
import { createRun } from '../src/tracker/run.ts';

const RUNS = 1000;
const STEPS = 100_000;
const METRICS = 20;

const root = await mkdtemp(join(tmpdir(), 'texlens-bench-'));
const quiet = { captureConsole: false, systemEverySeconds: 0 };

const big = await createRun({ folder: join(root, 'big'), ...quiet });
for (let step = 1; step <= STEPS; step++) {
  const values: Record<string, number> = {};
  for (let i = 0; i < METRICS; i++) values[`train/metric_${i}`] = Math.sin(step / (50 + i)) + 1 / step;
  big.log(values, step);
  if (step % 2000 === 0) await big.flush();
}
await big.finish();

const small = await createRun({ folder: join(root, 'run-0'), ...quiet });
for (let step = 1; step <= 100; step++)
  small.log({ 'train/loss': 1 / step, 'train/grad_norm': 1, 'eval/loss': 2 / step }, step);
await small.finish();
const text = await readFile(join(root, 'run-0', 'run.json'), 'utf8');
for (let i = 1; i < RUNS; i++) {
  const folder = join(root, `run-${i}`);
  await cp(join(root, 'run-0'), folder, { recursive: true });
  const id = i.toString(36).padStart(21, '0');
  await writeFile(join(folder, 'run.json'), JSON.stringify({ ...(JSON.parse(text) as object), id, name: `run ${i}` }));
}

const served = await serve({ root, host: '127.0.0.1', port: 0 });
async function timed(path: string): Promise<{ ms: number; body: unknown; bytes: number }> {
  const start = performance.now();
  const answer = await (await fetch(served.url + path)).text();
  const body: unknown = JSON.parse(answer);
  return { ms: Math.round((performance.now() - start) * 10) / 10, body, bytes: answer.length };
}
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

const list = await timed('api/runs');
const { runs } = list.body as { runs: { id: string; name: string }[] };
const id = runs.find(({ name }) => name === 'big')!.id;
const lists: number[] = [];
for (let i = 0; i < 5; i++) {
  await new Promise((resolve) => setTimeout(resolve, 1100));
  lists.push((await timed('api/runs')).ms);
}
const opened = await timed(`api/runs/${id}`);
const series = (key: string, span = ''): Promise<{ ms: number; bytes: number }> =>
  timed(`api/runs/${id}/series?key=${key}&source=scalars&axis=step&points=500${span}`);
const whole: number[] = [];
for (let i = 0; i < METRICS; i++) whole.push((await series(`train/metric_${i}`)).ms);
const zoomed: number[] = [];
for (let i = 0; i < METRICS; i++) zoomed.push((await series(`train/metric_${i}`, '&from=40000&to=42000')).ms);

const result = {
  runs: runs.length,
  points: STEPS * METRICS,
  listFirstMs: list.ms,
  listLaterMs: median(lists),
  listKiB: Math.round(list.bytes / 1024),
  openLongRunMs: opened.ms,
  seriesMs: median(whole),
  seriesZoomedMs: median(zoomed),
  seriesKiB: Math.round((await series('train/metric_0')).bytes / 1024),
  peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
};
for (const [name, value] of Object.entries(result)) console.log(`${name}: ${value}`);
console.log(JSON.stringify(result));
await served.close();
await rm(root, { recursive: true });
