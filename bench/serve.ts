// texlens serve with the bundled base, on the CPU unless told otherwise: requests a second and latencies at POST
// /api/read, one client after another and 16 at once, over drawn formulas of mixed length; each count of clients begins
// with a round that is not counted. With --settings N the requests go to POST /v1/chat/completions, by turns with the
// first N of some sampling settings. Programs compiled on the CPU are counted from the start on. On Linux also the
// processor time of the server a request, which other load changes less. Needs the build in dist/; takes a minute or
// two. The last line is JSON.
// Run: node bench/run.mjs serve [--requests 96] [--clients 1,16] [--batch 8] [--settings 6] [--device cuda] [--dtype int8]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { drawSample } from '../src/data/synthetic/sample.ts';
import { encodePng } from '../src/formats/png.ts';
import { round } from './statistics.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '96' },
    clients: { type: 'string', default: '1,16' },
    batch: { type: 'string', default: '8' },
    settings: { type: 'string', default: '0' },
    device: { type: 'string', default: 'cpu' },
    dtype: { type: 'string', default: 'auto' },
  },
});
const requests = Number(values.requests);
const SETTINGS = [
  { temperature: 0 },
  { temperature: 0.3 },
  { temperature: 0.7, top_p: 0.9 },
  { temperature: 1, top_k: 50 },
  { temperature: 0.8, top_k: 40, top_p: 0.95 },
  { temperature: 0.6, top_p: 0.9, repetition_penalty: 1.05 },
].slice(0, Number(values.settings));
const pictures = await Promise.all(
  Array.from({ length: 48 }, async (_, i) =>
    encodePng(await drawSample({ seed: 5, style: 'printed', level: i % 2 === 0 ? 'easy' : 'medium' }, i)),
  ),
);

const started = performance.now();
const on = ['--device', values.device, '--dtype', values.dtype];
const flags = ['--json', '--port', '0', ...on, '--batch', values.batch];
const counting = values.device === 'cpu' ? ['--require', './bench/programs.cjs'] : [];
const node = [...counting, 'dist/cli/main.js', 'serve', ...flags];
const child = spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'pipe'] });
const compiled = { programs: 0, ms: 0 };
createInterface(child.stderr).on('line', (line) => {
  const [, ms] = /^compiled in (.*) ms$/.exec(line) ?? [];
  if (ms === undefined) return console.error(line);
  compiled.programs++;
  compiled.ms += Number(ms);
});
const { url } = JSON.parse(String((await once(child.stdout, 'data'))[0])) as { url: string };
const readyMs = Math.round(performance.now() - started);

function request(n: number): Promise<Response> {
  const picture = pictures[n % pictures.length]!;
  if (SETTINGS.length === 0) return fetch(`${url}api/read`, { method: 'POST', body: picture });
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${picture.toString('base64')}` } };
  // In another order at each round of the pictures.
  const settings = SETTINGS[(n + Math.floor(n / pictures.length)) % SETTINGS.length];
  const body = JSON.stringify({ messages: [{ role: 'user', content: [image] }], ...settings });
  const headers = { 'content-type': 'application/json' };
  return fetch(`${url}v1/chat/completions`, { method: 'POST', body, headers });
}

/** Milliseconds of each of `count` requests, `clients` of them at any time. */
async function ask(clients: number, count: number): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < count) {
      const began = performance.now();
      const answer = await request(next++);
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      await answer.json();
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return times;
}

/** Seconds of processor time that the server has taken; null where that cannot be read. */
function cpuSeconds(): number | null {
  try {
    // user and system time in hundredths, the 12th and 13th field after the name
    const [user, system] = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 13);
    return (Number(user) + Number(system)) / 100;
  } catch {
    return null;
  }
}

const rows: Record<string, unknown>[] = [];
for (const clients of values.clients.split(',').map(Number)) {
  await ask(clients, pictures.length);
  const [began, cpu] = [performance.now(), cpuSeconds()];
  const times = (await ask(clients, requests)).sort((a, b) => a - b);
  const seconds = (performance.now() - began) / 1000;
  const at = (share: number): number => round(times[Math.ceil(share * times.length) - 1]!, 0);
  const cpuMs = cpu === null ? null : round(((cpuSeconds()! - cpu) * 1000) / requests, 0);
  const load = round(loadavg()[0]!, 1);
  const row = {
    clients,
    requestsPerSecond: round(requests / seconds, 2),
    p50Ms: at(0.5),
    p95Ms: at(0.95),
    cpuMs,
    ...{ programs: compiled.programs, compileMs: round(compiled.ms, 0) },
    load,
  };
  rows.push(row);
  console.log(JSON.stringify(row));
}
child.kill('SIGINT');
await once(child, 'exit');
const settings = SETTINGS.length;
const { device, dtype } = values;
const run = { device, dtype, batch: Number(values.batch), requests, settings };
console.log(JSON.stringify({ bench: 'serve', ...run, readyMs, rows }));
