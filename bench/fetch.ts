// Megabytes a second of `fetch` from a hub on this machine, hashing included, as fast as the hub sends and with each
// connection held to about 8 MB/s, beside curl and sha256sum on the same file; the last line is JSON.
// Run: node bench/run.mjs fetch [MiB]
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { fetchModel } from '../src/hub/fetch.ts';
import { HubServer, noise } from '../test/hub/server.ts';

const ID = 'bench/model';
const mib = Number(process.argv[2] ?? 256);

async function serve(): Promise<void> {
  const block = noise(1 << 20, 1);
  const files = {
    'config.json': '{}',
    'tokenizer.json': '{}',
    'model.safetensors': Buffer.concat(Array(mib).fill(block)),
  };
  const server = await HubServer.start();
  server.add({ kind: 'model', id: ID, files });
  server.chunk = 256 << 10;
  parentPort!.on('message', (slowMs: number) => {
    server.fault = ({ file }) => (file && slowMs ? { slowMs } : undefined);
  });
  parentPort!.postMessage({ env: server.env('/nowhere') });
}

async function main(): Promise<void> {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: [String(mib)] });
  const [{ env }] = (await once(worker, 'message')) as [{ env: Record<string, string> }];
  const home = await mkdtemp(join(tmpdir(), 'texlens-bench-'));
  const rates: Record<string, number> = {};
  const time = async (name: string, task: (out: string) => Promise<unknown>): Promise<void> => {
    const started = performance.now();
    await task(join(home, name));
    rates[name] = Math.round((mib * 1.048576 * 1e3) / (performance.now() - started));
    console.log(`${name}: ${rates[name]} MB/s`);
    await rm(join(home, name), { recursive: true });
  };
  const fetching = (connections: number) => (out: string) =>
    fetchModel(`modelscope:${ID}`, { env, out, connections, progress: () => {} });
  const url = `${env.MODELSCOPE_ENDPOINT}/api/v1/models/${ID}/repo?Revision=master&FilePath=model.safetensors`;
  const curl = (out: string) => promisify(execFile)('sh', ['-c', `curl -sL -o ${out} '${url}' && sha256sum ${out}`]);
  try {
    for (const [kind, slowMs] of [
      ['fast', 0],
      ['held', 32],
    ] as const) {
      worker.postMessage(slowMs);
      await time(`${kind}.curl`, curl);
      await time(`${kind}.fetch1`, fetching(1));
      await time(`${kind}.fetch8`, fetching(8));
    }
  } finally {
    await rm(home, { recursive: true });
    await worker.terminate();
  }
  const machine = { cores: availableParallelism(), load: Math.round(loadavg()[0]!) };
  console.log(JSON.stringify({ bench: 'fetch', mib, ...machine, megabytesPerSecond: rates }));
}

await (isMainThread ? main() : serve());
process.exitCode = 0;
