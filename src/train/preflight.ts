// What is told before the first step: samples, token histogram, what is dropped and why, what trains module by module,
// memory from the plan of the traced programs, and time from a forward pass that is run and timed.
import type { Backend } from '../backends/contract.ts';
import { sizeOf } from '../graph/types.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import type { Placement } from '../models/qwen2_vl/packing.ts';
import { linearModules, parameters, TOWERS, type Tower, towerOf } from '../models/qwen2_vl/parameters.ts';
import type { Bucket } from '../models/qwen2_vl/programs.ts';
import { type LoraSpec, loraScale } from '../nn/scope.ts';
import { countFlops } from '../passes/cost.ts';
import { say } from '../shared/log.ts';
import type { Encoded } from './dataset.ts';
import { type Fitting, tellNeed } from './memory.ts';
import type { RunConfig } from './run_schema.ts';
import type { Stretch } from './samples.ts';
import type { Programs, Trainer } from './trainer.ts';

export interface PreflightInput {
  readonly config: RunConfig;
  readonly model: Qwen2VLConfig;
  readonly encoded: Stretch;
  readonly validation: Encoded | null;
  readonly bucket: Bucket;
  readonly total: number;
  readonly lora: LoraSpec | null;
  readonly trained: readonly string[];
  readonly backend: Backend;
  readonly memory: Pick<Fitting, 'options' | 'need' | 'room'>;
}

export function preflight(input: PreflightInput): void {
  const { config, validation, bucket, total } = input;
  tellSamples(input.encoded);
  if (validation) {
    say(`validation: ${validation.samples.length} samples (${validation.dropped.length} dropped)`);
    tellDropped(validation);
  }
  say(
    `a batch: ${bucket.tokens} tokens${bucket.row < bucket.tokens ? ` in rows of ${bucket.row}` : ''}, ${bucket.patches} patches, ${bucket.labels} label tokens; ` +
      `${config.train.accumulate} a step, ${total} steps`,
  );
  tellTrained(input);
  tellMemory(input.memory);
}

const BINS = 6;
const SHOWN_DROPS = 10;

function tellDropped({ dropped }: Pick<Stretch, 'dropped'>): void {
  for (const { name, reason } of dropped.slice(0, SHOWN_DROPS)) say(`  dropped ${name}: ${reason}`);
  if (dropped.length > SHOWN_DROPS) say(`  … and ${dropped.length - SHOWN_DROPS} more`);
}

export function tellSamples(encoded: Stretch): void {
  const { samples, dropped } = encoded;
  const lengths = samples.map((s) => s.ids.length);
  const least = lengths.reduce((a, b) => Math.min(a, b));
  const most = lengths.reduce((a, b) => Math.max(a, b));
  const mean = lengths.reduce((a, b) => a + b, 0) / lengths.length;
  say(
    `samples: ${lengths.length} (${dropped.length} dropped); tokens ${least} to ${most}, ${mean.toFixed(0)} on average`,
  );
  const width = Math.max(1, Math.ceil((most - least + 1) / BINS));
  const bins = Array.from(
    { length: BINS },
    (_, i) => lengths.filter((n) => Math.floor((n - least) / width) === i).length,
  );
  const peak = Math.max(...bins);
  bins.forEach((count, i) => {
    const from = least + i * width;
    if (from <= most)
      say(
        `  ${String(from).padStart(5)}–${String(Math.min(most, from + width - 1)).padEnd(5)} ${'█'.repeat(Math.ceil((30 * count) / peak))} ${count}`,
      );
  });
  tellDropped(encoded);
}

const shown = (n: number): string => n.toLocaleString('en');
const total = (sizes: readonly number[]): number => sizes.reduce((sum, n) => sum + n, 0);

/** The towers with their parameters, and below each that trains its linear layers, those of one name in one line. */
function tellTrained({ config, model, lora, trained, backend }: PreflightInput): void {
  const size = (name: string): number => sizeOf(backend.typeOf(name).shape);
  const all = parameters(model).map((p) => p.name);
  const trains = total(trained.map(size));
  const method = lora ? `LoRA, r ${lora.r}, scale ${shown(loraScale(lora))}` : 'full fine-tuning';
  say(`trains ${shown(trains)} parameters beside a model of ${shown(total(all.map(size)))} (${method})`);
  const modules = linearModules(model).map((m) => m.name);
  for (const tower of TOWERS) {
    const own = (name: string): boolean => towerOf(name) === tower;
    const count = shown(total(all.filter(own).map(size))).padStart(14);
    const training = total(trained.filter(own).map(size));
    say(`  ${tower.padEnd(7)} ${count} parameters, ${stateOf(config, tower, training)}`);
    if (training === 0) continue;
    for (const { label, names } of grouped(modules.filter(own))) {
      const states = trained.filter((state) => names.some((name) => state.startsWith(`${name}.`)));
      const what =
        states.length === 0 ? 'frozen' : `${lora ? `r ${lora.r}` : 'trained'}, ${shown(total(states.map(size)))}`;
      say(`    ${label.padEnd(36)} ${what}`);
    }
  }
}

function stateOf(config: RunConfig, tower: Tower, trains: number): string {
  if (config.freeze[tower]) return `frozen (freeze.${tower})`;
  if (config.method === 'full') return 'trained';
  return trains === 0 ? 'frozen (no target module)' : `frozen, with ${shown(trains)} in LoRA`;
}

/** Modules that differ in their layer's number alone, as one line such as layers.0–27.self_attn.q_proj. */
export function grouped(modules: readonly string[]): { label: string; names: string[] }[] {
  const groups = new Map<string, { numbers: number[]; names: string[] }>();
  for (const name of modules) {
    const number = /\.(\d+)\./.exec(name)?.[1];
    const key = number === undefined ? name : name.replace(`.${number}.`, '.*.');
    const group = groups.get(key) ?? { numbers: [], names: [] };
    if (number !== undefined) group.numbers.push(Number(number));
    group.names.push(name);
    groups.set(key, group);
  }
  return [...groups].map(([key, { numbers, names }]) => ({
    label: key.replace('*', ranges(numbers)).replace(/^(model|visual)\./, ''),
    names,
  }));
}

/** Rising numbers as ranges: 0–3,5. */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const n of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(',');
}

/** What the run takes, and of what: a card's memory, or the machine's. */
function tellMemory({ options, need, room }: PreflightInput['memory']): void {
  say(`memory: ${tellNeed(need)}; ${room.told}`);
  if (options.recompute) say('  layers are computed again in the backward pass (train.recompute)');
}

/** A forward pass that took longer than this is not run a second time. */
const LONG_MS = 5000;

/**
 * Times a forward pass of one batch, which changes nothing, and tells what the steps will take at its FLOP/s. The first
 * run also makes the backend's buffers and, on a card, measures products: it is run twice and the second counts.
 */
export async function tellTime(
  trainer: Trainer,
  { micro, updater, evaluator }: Programs,
  samples: Stretch['samples'],
  batch: readonly Placement[],
  steps: { readonly left: number; readonly accumulate: number },
): Promise<void> {
  let milliseconds = 0;
  for (let run = 0; run < 2 && milliseconds <= LONG_MS; run++) {
    const start = performance.now();
    await trainer.loss(samples, [batch]);
    milliseconds = performance.now() - start;
  }
  const rate = countFlops(evaluator) / (milliseconds / 1000);
  const step = countFlops(micro) * steps.accumulate + (updater ? countFlops(updater) : 0);
  const seconds = step / rate;
  say(
    `time: about ${duration(seconds * steps.left)} for ${steps.left} steps of ${(step / 1e9).toFixed(1)} GFLOP, ` +
      `${seconds.toPrecision(2)} s each, at the ${(rate / 1e9).toPrecision(3)} GFLOP/s of a forward pass timed now; evaluation not counted`,
  );
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
