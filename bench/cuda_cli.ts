// The command line on a card beside the CPU: LoRA of the bundled base for five steps, eval and predict, through dist/. Data
// and what the CPU made of them are kept in FOLDER, so that the machine with the card needs neither MathJax nor ONNX Runtime.
// Run: npm run build; node bench/run.mjs cuda_cli cpu FOLDER      then, with the folder and dist/, where the card is:
//      node bench/run.mjs cuda_cli cuda FOLDER                    The last line is JSON; it fails where they differ too much.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRun } from '../src/tracker/reader.ts';

const STEPS = 5;
const [device, folder] = process.argv.slice(2) as [string, string];
if (device !== 'cpu' && device !== 'cuda') throw new Error(`device '${device}': expected cpu or cuda`);

function texlens(...args: string[]): string {
  console.log(`texlens ${args.join(' ')}`);
  const command = ['dist/cli/main.js', ...args];
  return execFileSync(process.execPath, command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
const lastJson = (text: string) => JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, number>;

interface Outcome {
  /** of every step */
  readonly losses: number[];
  readonly editDistance: number;
  /** LaTeX by image */
  readonly readings: string[];
  readonly seconds: Record<'train' | 'eval' | 'predict', number>;
}

async function outcome(dtype: string): Promise<Outcome> {
  const output = join(folder, `${device}-${dtype}`);
  rmSync(output, { recursive: true, force: true });
  const seconds: Record<string, number> = {};
  const timed = (name: string, ...args: string[]) => {
    const started = performance.now();
    const out = texlens(name, ...args);
    seconds[name] = (performance.now() - started) / 1000;
    return out;
  };
  const on = ['--device', device, '--json'];
  timed('train', join(folder, 'run.yaml'), '--output', output, '--set', `train.dtype=${dtype}`, ...on);
  const losses = [...(await openRun(output)).rows()].flatMap(({ values }) => values['train/loss'] ?? []);
  if (losses.length !== STEPS) throw new Error(`${output}: ${losses.length} losses recorded, expected ${STEPS}`);
  const model = ['--adapter', join(output, 'adapter'), '--dtype', dtype, ...on];
  const data = join(folder, 'data', 'val.json');
  const scores = lastJson(timed('eval', '--data', data, '--max-new-tokens', '64', ...model));
  const images = (JSON.parse(readFileSync(join(folder, 'images.json'), 'utf8')) as string[]).map((name) =>
    join(folder, 'data', name),
  );
  const readings = timed('predict', ...images, '--max-new-tokens', '64', ...model)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { image: string; latex: string })
    .sort((a, b) => images.indexOf(a.image) - images.indexOf(b.image))
    .map(({ latex }) => latex);
  return { losses, editDistance: scores.editDistance!, readings, seconds: seconds as Outcome['seconds'] };
}

function prepare(): void {
  mkdirSync(folder, { recursive: true });
  const counts = ['--count', '72', '--val-count', '8', '--level', 'medium', '--seed', '9'];
  texlens('prepare', '--source', 'synthetic', ...counts, '--out', join(folder, 'data'));
  const settings = {
    model: 'models/base',
    data: { train: join(folder, 'data', 'train.json'), val: join(folder, 'data', 'val.json'), prompt: '\\LaTeX' },
    image: { min_pixels: 784, max_pixels: 50176 }, // as the base was trained
    lora: { r: 16, dropout: 0.05 },
    train: { max_steps: STEPS, batch_tokens: 512, row_tokens: 256, accumulate: 2, lr: 1e-3 },
    eval: { every_steps: STEPS, count: 8, max_new_tokens: 64 },
    output: join(folder, 'runs'),
  };
  writeFileSync(join(folder, 'run.yaml'), JSON.stringify(settings)); // JSON is YAML
  const rows = JSON.parse(readFileSync(join(folder, 'data', 'val.json'), 'utf8')) as object[];
  const names = JSON.stringify(rows).match(/images\/[^"\\<>]+\.png/g) ?? [];
  writeFileSync(join(folder, 'images.json'), JSON.stringify([...new Set(names)]));
}

/**
 * float32: sums in another order, relative 1e-6 in a product; Adam turns a gradient's rounding into a step of the full rate
 * where it is next to nothing, but such weights hardly move the loss. bfloat16: every rounding is 2⁻⁹, over some
 * thirty products in a row; losses of a tuned model are small differences of large logits, hence the absolute part.
 */
const LOSS_TOLERANCE = { float32: { relative: 1e-3, absolute: 1e-4 }, bfloat16: { relative: 0.03, absolute: 0.01 } };

if (device === 'cpu') {
  prepare();
  const cpu = await outcome('float32');
  writeFileSync(join(folder, 'cpu.json'), JSON.stringify(cpu));
  console.log(JSON.stringify({ bench: 'cuda_cli', cpu }));
} else {
  const cpu = JSON.parse(readFileSync(join(folder, 'cpu.json'), 'utf8')) as Outcome;
  const faults: string[] = [];
  const results: Record<string, unknown> = {};
  for (const dtype of ['float32', 'bfloat16'] as const) {
    try {
      const card = await outcome(dtype);
      const { relative, absolute } = LOSS_TOLERANCE[dtype];
      card.losses.forEach((loss, i) => {
        const expected = cpu.losses[i]!;
        if (!(Math.abs(loss - expected) <= relative * expected + absolute))
          faults.push(`${dtype}: step ${i + 1} has the loss ${loss}, the CPU ${expected}`);
      });
      // One token that wins by a hair may go the other way, and all after it differ.
      const same = card.readings.filter((latex, i) => latex === cpu.readings[i]).length;
      if (same < 0.75 * cpu.readings.length)
        faults.push(`${dtype}: ${same} of ${cpu.readings.length} readings are the CPU's`);
      results[dtype] = { ...card, sameReadings: same };
      console.log(`${dtype}: ${JSON.stringify(results[dtype])}`);
    } catch (error) {
      faults.push(`${dtype}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  for (const fault of faults) console.log(`FAULT ${fault}`);
  console.log(JSON.stringify({ bench: 'cuda_cli', cpu, results, faults }));
  if (faults.length > 0) process.exitCode = 1;
}
