// Training step and generation on the CPU against transformers + peft: the same model, samples, threads and machine.
//   node bench/run.mjs cpu --python /path/to/venv/bin/python [--size small] [--rounds 3] [--threads 2]
// The two sides take turns in processes of their own (ours, peer, ours, peer), so that other load on the machine falls
// on both; a ratio is that of neighbours, and the medians of the rounds are told. Both compute in float32; our generation with
// products in 8 bits (--dtype int8) is told beside it, against the same peer. Ours packs about as many tokens into
// a step as the peer, which pads, has in its 16 samples. The Python needs what bench/peers/cpu.py says.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { writeConversations } from '../src/data/conversation.ts';
import { drawSample } from '../src/data/synthetic/sample.ts';
import { encodePng } from '../src/formats/png.ts';
import { BASE, createModel, type ModelSize, SMALL } from '../src/models/qwen2_vl/create.ts';
import { median, round } from './statistics.ts';

/** `base` is the bundled model's shape, of 18 M parameters; `small` has 2.7 M and `mid` 62 M. */
const SIZES: Record<string, ModelSize> = {
  base: BASE,
  small: SMALL,
  mid: {
    hidden: 768,
    intermediate: 2048,
    layers: 8,
    heads: 12,
    kvHeads: 2,
    visionWidth: 384,
    visionDepth: 6,
    visionHeads: 6,
  },
};

const { values: flags } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    size: { type: 'string', default: 'base' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '5' },
    'new-tokens': { type: 'string', default: '32' },
  },
});
const size = SIZES[flags.size];
if (!size) throw new Error(`--size ${flags.size}: expected one of ${Object.keys(SIZES).join(', ')}`);

interface Step {
  readonly samples_per_s: number;
  readonly cpu_s_per_sample: number;
  readonly first_loss: number;
  readonly mean_tokens: number;
  readonly parameters: number;
  readonly peak_rss_mib: number;
}
interface Generation {
  readonly generate: readonly {
    readonly batch: number;
    readonly s: number;
    readonly cpu_s: number;
    readonly first_token_s: number;
    readonly prompt_tokens: number;
  }[];
  readonly peak_rss_mib: number;
}
interface Round {
  readonly ours: { readonly step: Step; readonly generate: Generation; readonly int8: Generation };
  readonly peer: { readonly step: Step; readonly generate: Generation };
}

const folder = await mkdtemp(join(tmpdir(), 'texlens-bench-'));
try {
  const [model, data] = [join(folder, 'model'), join(folder, 'data.json')];
  await makeInputs(model, data, 16 * (1 + Number(flags.steps)));
  const arguments_ = (mode: string) =>
    [model, data, '--mode', mode, '--threads', flags.threads, '--steps', flags.steps].concat(
      '--new-tokens',
      flags['new-tokens'],
    );
  const ours = <T>(mode: string, ...more: string[]): Promise<T> =>
    lastLine(process.execPath, [
      fileURLToPath(new URL('./cpu_ours.js', import.meta.url)),
      ...arguments_(mode),
      ...more,
    ]);
  const peer = <T>(mode: string): Promise<T> => lastLine(flags.python, ['bench/peers/cpu.py', ...arguments_(mode)]);

  const rounds: Round[] = [];
  for (let i = 0; i < Number(flags.rounds); i++) {
    const step = { ours: await ours<Step>('step'), peer: await peer<Step>('step') };
    const generate = { ours: await ours<Generation>('generate'), peer: await peer<Generation>('generate') };
    const int8 = await ours<Generation>('generate', '--int8');
    check(step.ours, step.peer);
    rounds.push({
      ours: { step: step.ours, generate: generate.ours, int8 },
      peer: { step: step.peer, generate: generate.peer },
    });
    console.log(`round ${i + 1}: load ${loadavg()[0]!.toFixed(1)}`);
    report(rounds.slice(-1));
  }
  const figures = report(rounds);
  const { node } = process.versions;
  console.log(
    JSON.stringify({
      bench: 'cpu',
      size: flags.size,
      parameters: rounds[0]!.ours.step.parameters,
      threads: Number(flags.threads),
      rounds: rounds.length,
      ...figures,
      load_average: round(loadavg()[0]!, 1),
      cpu: cpus()[0]?.model.trim(),
      node,
      all: rounds,
    }),
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** A random model of this size and `count` printed formulas of level medium. */
async function makeInputs(model: string, data: string, count: number): Promise<void> {
  await mkdir(join(folder, 'images'));
  const rows: { image: string; text: string }[] = [];
  for (let i = 0; i < count; i++) {
    const { latex, ...picture } = await drawSample({ seed: 3, style: 'printed', level: 'medium' }, i);
    const image = `images/${i}.png`;
    await writeFile(join(folder, image), encodePng(picture));
    rows.push({ image, text: latex });
  }
  await writeConversations(data, rows);
  const words = rows.flatMap(({ text }) => text.match(/\\(?:begin|end)\{\w+\}|\\[a-zA-Z]+|\\./g) ?? []);
  await createModel(model, [...new Set(words)].sort(), size as ModelSize, 0);
}

async function lastLine<T>(program: string, args: string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 1 << 26 });
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as T;
}

/** The sides must have seen the same tokens and computed the same loss, else their times say nothing. */
function check(ours: Step, peer: Step): void {
  if (ours.parameters !== peer.parameters || ours.mean_tokens !== peer.mean_tokens)
    throw new Error('the sides ran other models or samples');
  if (Math.abs(ours.first_loss / peer.first_loss - 1) > 1e-4)
    throw new Error(`the loss of the same samples is ${ours.first_loss} here and ${peer.first_loss} at the peer`);
}

function report(rounds: readonly Round[]) {
  const of = (f: (round: Round) => number) => round(median(rounds.map(f)), 2);
  const batches = rounds[0]!.ours.generate.generate.map(({ batch }) => batch);
  const memory = (side: 'ours' | 'peer', mode: 'step' | 'generate') => of((r) => r[side][mode].peak_rss_mib);
  const generation = (mode: 'generate' | 'int8') =>
    batches.map((batch, i) => {
      const ratio = (f: (generation: Generation['generate'][number]) => number) =>
        of((r) => f(r.peer.generate.generate[i]!) / f(r.ours[mode].generate[i]!));
      return {
        batch,
        speedup: ratio(({ s }) => s),
        cpu_time_ratio: ratio(({ cpu_s }) => cpu_s),
        s: of((r) => r.ours[mode].generate[i]!.s),
        peer_s: of((r) => r.peer.generate.generate[i]!.s),
        first_token_speedup: ratio(({ first_token_s }) => first_token_s),
      };
    });
  const figures = {
    step: {
      speedup: of((r) => r.ours.step.samples_per_s / r.peer.step.samples_per_s),
      cpu_time_ratio: of((r) => r.peer.step.cpu_s_per_sample / r.ours.step.cpu_s_per_sample),
      samples_per_s: of((r) => r.ours.step.samples_per_s),
      peer_samples_per_s: of((r) => r.peer.step.samples_per_s),
      peak_mib: memory('ours', 'step'),
      peer_peak_mib: memory('peer', 'step'),
    },
    generate: generation('generate'),
    generate_int8: generation('int8'),
    generate_peak_mib: memory('ours', 'generate'),
    generate_int8_peak_mib: of((r) => r.ours.int8.peak_rss_mib),
    generate_peer_peak_mib: memory('peer', 'generate'),
  };
  console.log(
    `  LoRA step: ${figures.step.speedup} times the peer's samples a second (${figures.step.samples_per_s} against ${figures.step.peer_samples_per_s}), ${figures.step.peak_mib} MiB against ${figures.step.peer_peak_mib}`,
  );
  for (const [products, generated] of [
    ['float32', figures.generate],
    ['8 bits', figures.generate_int8],
  ] as const)
    for (const { batch, speedup, s, peer_s } of generated)
      console.log(
        `  generation, batch ${batch}, products in ${products}: ${speedup} times as fast (${s} s against ${peer_s} s in float32)`,
      );
  return figures;
}
