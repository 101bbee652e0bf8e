// texlens serve with the bundled base on the CPU: requests a second and latencies at POST /api/read, one client after
// another and 16 at once, over drawn formulas of mixed length; each count of clients begins with a round that is not
// counted. On Linux also the processor time of the server a request, which other load changes less. Needs the build in
// dist/; takes a minute or two. The last line is JSON.
// Run: node bench/run.mjs serve [--requests 96] [--clients 1,16] [--batch 8]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { drawSample } from '../src/data/synthetic/sample.ts';
import { encodePng } from '../src/formats/png.ts';
import { round } from './statistics.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '96' },
    clients: { type: 'string', default: '1,16' },
    batch: { type: 'string', default: '8' },
  },
});
const requests = Number(values.requests);
const pictures = await Promise.all(
  Array.from({ length: 48 }, async (_, i) =>
    encodePng(await drawSample({ seed: 5, style: 'printed', level: i % 2 === 0 ? 'easy' : 'medium' }, i)),
  ),
);

const started = performance.now();
const flags = ['--json', '--port', '0', '--device', 'cpu', '--batch', values.batch];
const child = spawn(process.execPath, ['dist/cli/main.js', 'serve', ...flags], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const { url } = JSON.parse(String((await once(child.stdout, 'data'))[0])) as { url: string };
const readyMs = Math.round(performance.now() - started);

/** Milliseconds of each of `count` requests, `clients` of them at any time. */
async function ask(clients: number, count: number): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < count) {
      const began = performance.now();
      const answer = await fetch(`${url}api/read`, { method: 'POST', body: pictures[next++ % pictures.length]! });
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
    load,
  };
  rows.push(row);
  console.log(JSON.stringify(row));
}
child.kill('SIGINT');
await once(child, 'exit');
console.log(JSON.stringify({ bench: 'serve', batch: Number(values.batch), requests, readyMs, rows }));
