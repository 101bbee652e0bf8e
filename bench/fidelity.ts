// Training of the Qwen2-VL-2B shape on a card beside transformers + peft, with the same random weights and samples: errors
// of loss, logits and LoRA gradients against float32, greedy decoding, 200 steps' losses, and the time to the first step.
// The last line is JSON.
// Run: npm run build; node bench/run.mjs fidelity draw FOLDER TOKENIZER.json FORMULAS.txt   (no card; writes samples.json)
// then on the machine with the card, where transformers and peft are too:
//   node bench/run.mjs fidelity run FOLDER [--python python3] [--only peer,ready,gradients,greedy,curve] [--device cuda]
// `peer` runs bench/peers/fidelity.py, which makes the weights and what the others are held against; --peer-parts
// weights,gradients,greedy,curve takes some of it, --tiny makes a small model instead.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type DeviceName, openBackend } from '../src/backends/open.ts';
import type { Precision } from '../src/graph/types.ts';
import { readConfig } from '../src/models/qwen2_vl/config.ts';
import { loadWeights } from '../src/models/qwen2_vl/load.ts';
import { hubName } from '../src/models/qwen2_vl/parameters.ts';
import { compareCurves, ownCurve } from './cuda/curve.ts';
import { drawSamples, readSamples, writePatches } from './cuda/drawn.ts';
import { type Errors, gradientErrors } from './cuda/gradients.ts';
import { agreement, greedyIds } from './cuda/greedy.ts';
import { timeToFirstStep } from './cuda/ready.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string', default: 'python3' },
    device: { type: 'string', default: 'cuda' },
    only: { type: 'string', default: 'peer,ready,gradients,greedy,curve' },
    'peer-parts': { type: 'string', default: 'weights,gradients,greedy,curve' },
    tiny: { type: 'boolean', default: false },
    count: { type: 'string', default: '256' },
    samples: { type: 'string', default: '4' },
    prompts: { type: 'string', default: '3' },
    'new-tokens': { type: 'string', default: '16' },
    steps: { type: 'string', default: '200' },
    'per-step': { type: 'string', default: '8' },
    lr: { type: 'string', default: '1e-3' },
    rank: { type: 'string', default: '64' },
    seeds: { type: 'string', default: '11,12,13' },
  },
});
const [verb, folder, ...files] = positionals as [string, string, ...string[]];
const wanted = values.only.split(',');
const device = values.device as DeviceName;
const number = (name: 'samples' | 'prompts' | 'new-tokens' | 'steps' | 'per-step' | 'lr' | 'rank') =>
  Number(values[name]);
const seeds = values.seeds.split(',').map(Number);
const results: Record<string, unknown> = {};
const failures: string[] = [];

/** Runs a part, prints what it found and how long it took; a part that fails is told, and the others go on. */
async function attempt(name: string, work: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  try {
    results[name] = await work();
    console.log(`${name}: ${JSON.stringify(results[name])}`);
  } catch (error) {
    failures.push(name);
    console.log(`${name} FAILED: ${error instanceof Error ? error.stack : String(error)}`);
  }
  console.log(`${name} took ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

async function readJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(join(folder, name), 'utf8')) as T;
}

function runPeer(): void {
  const script = fileURLToPath(new URL('../../../../bench/peers/fidelity.py', import.meta.url));
  const flags = { device, count: values.samples, prompts: values.prompts, 'new-tokens': values['new-tokens'] };
  const curve = { steps: values.steps, 'per-step': values['per-step'], lr: values.lr, rank: values.rank };
  const named = Object.entries({ ...flags, ...curve }).flatMap(([name, value]) => [`--${name}`, value]);
  const parts = values['peer-parts'].split(',');
  const args = [
    script,
    folder,
    ...parts,
    ...named,
    ...(values.tiny ? ['--tiny'] : []),
    '--seeds',
    ...seeds.map(String),
  ];
  const { status, error } = spawnSync(values.python, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${values.python} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}`);
}

interface Peer {
  readonly loss: number;
  readonly logits: number;
  readonly gradients: Record<string, number>;
}

const sorted = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);
const median = (numbers: Iterable<number>): number => {
  const all = sorted(numbers);
  return all[all.length >> 1]!;
};

/** Our errors, and over those of every way in which the peer trains: 1.5 is the most that is allowed. */
async function beside({ loss, logits, sameToken, gradients }: Errors): Promise<unknown> {
  const worst = [...gradients].reduce((most, one) => (one[1] > most[1] ? one : most));
  const own = { loss, logits, sameToken, median: median(gradients.values()), worst: worst[1], worstName: worst[0] };
  const peers = await readJson<Record<string, Peer>>('peer.json');
  const ratios = Object.entries(peers).map(([way, peer]) => {
    const theirs = new Map(
      Object.entries(peer.gradients).map(([key, error]) => [hubName(key.replace('base_model.model.', '')), error]),
    );
    const each = [...gradients].map(([name, error]) => {
      const other = theirs.get(name);
      if (other === undefined) throw new Error(`peer.json: '${way}' has no error of ${name}`);
      return error / other;
    });
    const ratio = {
      logits: logits / peer.logits,
      median: median(each),
      worst: sorted(each).at(-1)!,
      ofMedians: own.median / median(theirs.values()),
      ofWorst: own.worst / sorted(theirs.values()).at(-1)!,
      above: each.filter((one) => one > 1.5).length,
    };
    return [way, ratio] as const;
  });
  return { ...own, tensors: gradients.size, over: Object.fromEntries(ratios) };
}

async function run(): Promise<void> {
  const samples = await readSamples(folder);
  if (wanted.includes('peer'))
    await attempt('peer', async () => {
      await writePatches(folder, samples);
      runPeer();
      return 'see its rows above';
    });
  if (wanted.includes('ready')) {
    // Processes of their own: with nothing compiled yet, and again.
    process.env.XDG_CACHE_HOME = join(folder, `cache-${Date.now()}`);
    for (const name of ['ready cold', 'ready warm'])
      await attempt(name, async () => {
        const args = [
          fileURLToPath(import.meta.url),
          'ready',
          folder,
          '--device',
          device,
          '--per-step',
          values['per-step'],
        ];
        return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as unknown;
      });
  }
  if (!['gradients', 'greedy', 'curve'].some((part) => wanted.includes(part))) return;
  const { backend } = await openBackend({ device });
  const config = await readConfig(join(folder, 'model'));
  const adapter = join(folder, 'adapter');
  const few = samples.slice(0, number('samples'));
  const prompts = samples.slice(0, number('prompts'));
  const written: Partial<Record<Precision, number[][]>> = {};
  const both = async (precision: Precision) => {
    await attempt(`weights ${precision}`, async () => {
      await loadWeights(join(folder, 'model'), config, backend, () => precision);
      return backend.memory();
    });
    if (wanted.includes('gradients'))
      await attempt(`gradients ${precision}`, async () =>
        beside(await gradientErrors(backend, config, folder, few, precision)),
      );
    if (wanted.includes('greedy'))
      await attempt(`greedy ${precision}`, async () => {
        written[precision] = await greedyIds(backend, config, adapter, prompts, number('new-tokens'), precision);
        const peer = await readJson<{ float32: number[][]; bfloat16: number[][] }>('greedy.json');
        return {
          untilFirstDifference: {
            'transformers float32': agreement(written[precision], peer.float32),
            'transformers bfloat16': agreement(written[precision], peer.bfloat16),
            ...(written.bf16 && written.f32 ? { 'ours bf16 and f32': agreement(written.bf16, written.f32) } : {}),
            'transformers among themselves': agreement(peer.float32, peer.bfloat16),
          },
          of: number('new-tokens'),
        };
      });
  };
  if (device !== 'cpu') await both('bf16');
  if (wanted.includes('curve'))
    await attempt('curve', async () => {
      const steps = number('steps');
      const settings = { steps, perStep: number('per-step'), lr: number('lr'), rank: number('rank') };
      const precision = device === 'cpu' ? 'f32' : 'bf16';
      if (device === 'cpu') await loadWeights(join(folder, 'model'), config, backend);
      const started = performance.now();
      const ours = await ownCurve(backend, config, samples, { ...settings, seed: 1, precision });
      const seconds = (performance.now() - started) / 1000;
      console.log(`curve, ours: ${JSON.stringify(ours.map((loss) => Number(loss.toFixed(4))))}`);
      const written = await Promise.allSettled(seeds.map((seed) => readJson<number[]>(`curve.${seed}.json`)));
      const peers = written.flatMap((one) =>
        one.status === 'fulfilled' && one.value.length === steps ? [one.value] : [],
      );
      if (peers.length < seeds.length)
        console.log(`curve: ${peers.length} of ${seeds.length} runs of the peer are whole`);
      if (peers.length < 3) throw new Error('fewer than 3 runs have no spread to speak of');
      const { rows, outside } = compareCurves(ours, peers);
      for (const [w, { ours: loss, mean, sd, limit }] of rows.entries())
        console.log(
          `window ${w + 1}: ours ${loss.toFixed(4)}, peers ${mean.toFixed(4)} ± ${sd.toFixed(4)}, ` +
            `difference ${(loss - mean).toFixed(4)} of ${limit.toFixed(4)} allowed`,
        );
      // The same measure for each of the peer's runs against the others.
      const among = peers.map((peer, i) => compareCurves(peer, peers.toSpliced(i, 1)).outside);
      return { seconds, windowsOutside: outside, peersAmongThemselves: among, first: ours[0], last: ours.at(-1) };
    });
  if (wanted.includes('gradients') || wanted.includes('greedy')) await both('f32');
}

if (verb === 'draw') await drawSamples(folder, files[0]!, files[1]!, Number(values.count));
else if (verb === 'ready') {
  const samples = (await readSamples(folder)).slice(0, number('per-step'));
  console.log(JSON.stringify(await timeToFirstStep(folder, samples, device)));
} else if (verb === 'run') {
  await run();
  console.log(JSON.stringify({ bench: 'fidelity', results, failures }));
} else throw new Error(`'${verb}': expected draw, run or ready; the first lines of bench/fidelity.ts say how`);
process.exit(failures.length === 0 ? 0 : 1);
