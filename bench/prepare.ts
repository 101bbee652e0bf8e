// `texlens prepare` on a generated Parquet file of small formula PNGs: rows a second and peak memory, against the
// tutorial's loop with pyarrow, Pillow and pandas on the same file. The last line is JSON.
// Run: npm run build && node bench/run.mjs prepare [rows=100000] [python] [rows to compare=40000]
// The Parquet file is made once and kept in node_modules/.cache/bench/prepare; BENCH_DIR names another folder, such as
// one in memory (/dev/shm/prepare), where the disk and its other users do not count.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import { drawSample } from '../src/data/synthetic/sample.ts';
import { decodeImage } from '../src/formats/image.ts';
import { encodePng } from '../src/formats/png.ts';

const rows = Number(process.argv[2] ?? 100_000);
const python = process.argv[3];
const peerRows = Math.min(rows, Number(process.argv[4] ?? 40_000));
const home = process.env.BENCH_DIR ?? 'node_modules/.cache/bench/prepare';
const ROUNDS = 3;
const DISTINCT = 1000;
const GROUP = 1000;

/** Rendered formulas, each row stamped with its number in pixels, so that no two pictures are the same. */
async function generate(file: string): Promise<void> {
  const formulas: { latex: string; width: number; height: number; rgb: Uint8Array }[] = [];
  for (let i = 0; i < Math.min(DISTINCT, rows); i++) {
    const { latex, ...picture } = await drawSample({ seed: 1, style: 'printed', level: 'medium' }, i);
    formulas.push({ latex, ...(await decodeImage(encodePng(picture))) });
  }
  const parquet = new ParquetWriter({
    writer: fileWriter(`${file}.part`),
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ],
    codec: 'UNCOMPRESSED',
  });
  for (let start = 0; start < rows; start += GROUP) {
    const group = Array.from({ length: Math.min(GROUP, rows - start) }, (_, k) => start + k);
    await parquet.write({
      columnData: [
        { name: 'image', data: group.map((i) => ({ bytes: stamped(formulas[i % formulas.length]!, i), path: null })) },
        { name: 'text', data: group.map((i) => formulas[i % formulas.length]!.latex) },
      ],
      rowGroupSize: GROUP,
    });
  }
  await parquet.finish();
  renameSync(`${file}.part`, file);
}

function stamped({ rgb, width, height }: { rgb: Uint8Array; width: number; height: number }, number: number): Buffer {
  const pixels = rgb.slice(); // [height, width, 3]
  for (let bit = 0; bit < 20; bit++)
    if ((number >> bit) & 1) for (let c = bit * 3; c < bit * 3 + 3; c++) pixels[c]! ^= 255;
  return encodePng({ pixels, width, height, channels: 3 });
}

interface Measured {
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** of the process and its threads, as Linux tells them */
  readonly cpuMsPerRow: number | null;
  readonly peakMiB: number | null;
}

/** Runs a command whose last line is JSON with the seconds it took. */
async function run(rows: number, command: string, ...args: readonly string[]): Promise<Measured> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  let peakMiB: number | null = null;
  let ticks: number | null = null;
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peakMiB = Math.round(Number(/VmHWM:\s*(\d+)/.exec(status)?.[1]) / 1024) || peakMiB;
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      ticks = Number(stat[11]) + Number(stat[12]) || ticks;
    } catch {
      // Not Linux, or the process has gone.
    }
  }, 20);
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(watch);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${String(code)}`);
  const { seconds } = JSON.parse(text.trim().split('\n').at(-1)!) as { seconds: number };
  const cpuMsPerRow = ticks === null ? null : Math.round((1000 * ticks) / rows) / 100;
  return { rows, rowsPerSecond: Math.round(rows / seconds), cpuMsPerRow, peakMiB };
}

function texlens(count: number): Promise<Measured> {
  const out = join(home, 'ours');
  rmSync(out, { recursive: true, force: true });
  const source = ['--source', `parquet:${file}`, '--limit', `${count}`];
  return run(count, process.execPath, 'dist/cli/main.js', 'prepare', ...source, '--out', out, '--json');
}

function tutorial(count: number, format: 'jpg' | 'png'): Promise<Measured> {
  const out = join(home, 'peer');
  rmSync(out, { recursive: true, force: true });
  return run(count, python!, 'bench/peers/prepare.py', file, out, '--rows', `${count}`, '--format', format);
}

const told = ({ rowsPerSecond, cpuMsPerRow, peakMiB }: Measured): string =>
  `${rowsPerSecond} rows/s, ${cpuMsPerRow} ms of CPU a row, ${peakMiB} MiB at the peak`;
const best = (runs: readonly Measured[]): Measured =>
  runs.reduce((one, other) => (other.rowsPerSecond > one.rowsPerSecond ? other : one));

mkdirSync(home, { recursive: true });
const file = join(home, `${rows}.parquet`);
if (!existsSync(file)) await generate(file);
console.log(`${file}: ${rows} rows, ${(statSync(file).size / rows).toFixed(0)} bytes each`);
const whole = await texlens(rows);
console.log(`texlens, all rows: ${told(whole)}`);

// By turns, for other load comes and goes; the best of each is the nearest to a quiet machine.
const runs = { ours: [] as Measured[], jpg: [] as Measured[], png: [] as Measured[] };
for (let round = 0; python !== undefined && round < ROUNDS; round++) {
  runs.ours.push(await texlens(peerRows));
  for (const format of ['jpg', 'png'] as const) runs[format].push(await tutorial(peerRows, format));
  for (const [name, measured] of Object.entries(runs)) console.log(`  ${name}: ${told(measured[round]!)}`);
}
const compared = python === undefined ? null : { ours: best(runs.ours), jpg: best(runs.jpg), png: best(runs.png) };
const over = (format: 'jpg' | 'png'): number | null =>
  compared && Math.round((10 * compared.ours.rowsPerSecond) / compared[format].rowsPerSecond) / 10;
const ratio = { jpg: over('jpg'), png: over('png') };
for (const name of ['ours', 'peer']) rmSync(join(home, name), { recursive: true, force: true });
console.log(JSON.stringify({ bench: 'prepare', cores: availableParallelism(), whole, compared, ratio }));
