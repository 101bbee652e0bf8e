// What a run's tensors take on a card or in a machine's memory, known from the plans of its traced programs, and which settings make it fit: by
// themselves where that is left open (train.recompute, train.feature_cache), else as advice in the refusal.
import { totalmem } from 'node:os';
import type { Backend } from '../backends/contract.ts';
import { cacheFor, packPrompts } from '../generate/prompts.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { bytesOf } from '../graph/types.ts';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { FEATURES, prefill } from '../models/qwen2_vl/programs.ts';
import { Scope, type ScopeOptions } from '../nn/scope.ts';
import { InputError } from '../shared/errors.ts';
import type { Programs, TrainerOptions } from './trainer.ts';

const GIB = 2 ** 30;
export const gib = (bytes: number): string => `${(bytes / GIB).toFixed(2)} GiB`;

/** Bytes of a run, by what they are for. */
export interface MemoryNeed {
  /** weights, adapters, moments and gradients */
  readonly states: number;
  /** the state of image features */
  readonly features: number;
  /** what a step makes and drops again */
  readonly values: number;
  /** the inputs and constants of all programs */
  readonly inputs: number;
  /** what the evaluations' reading holds: its key-value cache, and the first tokens' logits */
  readonly cache: number;
  readonly total: number;
}

const graphsOf = ({ micro, updater, evaluator, features }: Programs): Graph[] =>
  [micro, updater, evaluator, features].filter((graph) => graph !== null);
const statesOf = (programs: Programs): Map<string, Value> =>
  new Map(graphsOf(programs).flatMap((graph) => [...graph.states]));

/** @param reader the program of `readingProgram`, where the run is evaluated by reading */
export function memoryNeed(
  backend: Pick<Backend, 'needs' | 'stateBytes'>,
  programs: Programs,
  reader: Graph | null,
): MemoryNeed {
  let [states, features, values, inputs, cache] = [0, 0, 0, 0, 0];
  const own = statesOf(programs);
  for (const [name, { type }] of own)
    if (name === FEATURES) features += backend.stateBytes(type);
    else states += backend.stateBytes(type);
  for (const [name, { type }] of reader?.states ?? []) if (!own.has(name)) cache += backend.stateBytes(type);
  for (const graph of [...graphsOf(programs), ...(reader ? [reader] : [])]) {
    const need = backend.needs(graph);
    values = Math.max(values, need.shared);
    inputs += need.own;
  }
  return { states, features, values, inputs, cache, total: states + features + values + inputs + cache };
}

/** The largest program that reading these prompts at once takes, as the generator makes it. */
export function readingProgram(
  backend: Pick<Backend, 'decomposed'>,
  config: Qwen2VLConfig,
  options: ScopeOptions,
  prompts: readonly EncodedSample[],
  maxNewTokens: number,
): Graph {
  const { cache, filled } = cacheFor(prompts, maxNewTokens);
  const { bucket } = packPrompts(prompts, config.vision.mergeSize ** 2);
  return prefill(new Scope(new Graph(backend.decomposed), options), config, bucket, cache, filled);
}

/** `6.20 GiB of tensors (weights and optimiser 4.94 GiB, …)`. */
export function tellNeed({ states, features, values, inputs, cache, total }: MemoryNeed): string {
  const parts = [
    `weights and optimiser ${gib(states)}`,
    ...(features > 0 ? [`image features ${gib(features)}`] : []),
    `a step's values ${gib(values)}`,
    `inputs ${gib(inputs)}`,
    ...(cache > 0 ? [`evaluation's cache ${gib(cache)}`] : []),
  ];
  return `${gib(total)} of tensors (${parts.join(', ')})`;
}

/** What kernels are loaded into, and small allocations lie apart. */
const ROUNDING = 0.25 * GIB;

/** What the run may take: a limit, what is free on a card beside the states that lie there already, or the machine's. */
export interface MemoryRoom {
  readonly bytes: number;
  readonly told: string;
}

function memoryRoom(
  card: { readonly free: number; readonly total: number },
  present: number,
  limit: number | undefined,
): MemoryRoom {
  const free = card.free + present - ROUNDING;
  const limited = limit === undefined ? Number.POSITIVE_INFINITY : limit * GIB - ROUNDING;
  return limited < free
    ? { bytes: limited, told: `train.memory_limit leaves ${gib(limited)} for tensors` }
    : { bytes: free, told: `the card has ${gib(free)} for this run's tensors, of ${gib(card.total)}` };
}

/** On the CPU a limit also lifts the machine's, for whoever swaps. What is free is not asked: it changes by the minute. */
function machineRoom(limit: number | undefined): MemoryRoom {
  if (limit !== undefined) return { bytes: limit * GIB, told: `train.memory_limit allows ${gib(limit * GIB)}` };
  // A container may be allowed less than the machine has; 0 or beyond every machine means that it is not.
  const bytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return { bytes, told: `this machine has ${gib(bytes)} for them, Node and its libraries` };
}

export interface MemorySettings {
  readonly recompute: 'auto' | boolean;
  /** GiB at most of the card, or of the machine on the CPU */
  readonly limit: number | undefined;
  /** may fewer image features be kept than asked for? */
  readonly fewerFeatures: boolean;
  /** the program of `readingProgram`, where the run is evaluated by reading */
  readonly reader: Graph | null;
  /** the options at smaller micro-batches, largest first, with the settings that make them: advice for a refusal */
  readonly smaller: () => Iterable<{ readonly settings: string; readonly options: TrainerOptions }>;
}

interface Planned {
  readonly options: TrainerOptions;
  readonly programs: Programs;
  readonly need: MemoryNeed;
}

export interface Fitting extends Planned {
  readonly room: MemoryRoom;
}

/** The run's programs as they fit the card or the machine; else an InputError with the numbers and the settings that would fit. */
export function fitMemory(
  backend: Backend,
  wanted: TrainerOptions,
  trace: (options: TrainerOptions) => Programs,
  { recompute, limit, fewerFeatures, reader, smaller }: MemorySettings,
): Fitting {
  const planned = (options: TrainerOptions): Planned => {
    const programs = trace(options);
    return { options, programs, need: memoryNeed(backend, programs, reader) };
  };
  const card = backend.memory();
  if (!card && recompute === true)
    throw new InputError(
      'train.recompute: true: expected a card to train on, got the CPU. Leave it out, or see doctor.',
    );
  const recomputes = card ? recompute : null;
  const plain = planned({ ...wanted, recompute: recompute === true });
  const room = card ? memoryRoom(card, presentBytes(backend, plain.programs), limit) : machineRoom(limit);
  const fitted = (one: Planned, fewer = fewerFeatures): Planned | null => {
    if (one.need.total <= room.bytes) return one;
    const options = fewer && withFewerFeatures(one, room.bytes);
    return options ? planned(options) : null;
  };
  const asItStands = fitted(plain);
  const least = asItStands || recomputes !== 'auto' ? plain : planned({ ...wanted, recompute: true });
  const found = asItStands ?? fitted(least);
  if (found) return { ...found, room };

  const advice: string[] = [];
  const advise = (settings: string, one: Planned | null) => {
    if (one) advice.push(`${settings} (${gib(one.need.total)})`);
    return one !== null;
  };
  if (recomputes === false) advise('train.recompute: auto', fitted(planned({ ...wanted, recompute: true })));
  if (!fewerFeatures) advise('train.feature_cache left out', fitted(least, true));
  for (const { settings, options } of smaller())
    if (advise(settings, fitted(planned({ ...options, recompute: recomputes === true || recomputes === 'auto' }))))
      break;
  throw new InputError(
    `the run needs ${tellNeed(least.need)}${least.options.recompute ? ', its layers recomputed' : ''}; ${room.told}. ` +
      (advice.length > 0
        ? `What would fit: ${advice.join('; or ')}.`
        : 'No smaller micro-batch would fit either: lower train.row_tokens or image.max_pixels, train fewer parameters ' +
          '(method: lora, a smaller lora.r), or take a smaller model.') +
      (card ? '' : ' A train.memory_limit above that lets it begin all the same.'),
  );
}

/** Bytes of the states that lie on the card already. */
const presentBytes = (backend: Backend, programs: Programs): number =>
  [...statesOf(programs).keys()]
    .filter((name) => backend.hasState(name))
    .reduce((sum, name) => sum + backend.stateBytes(backend.typeOf(name)), 0);

/** The options with as many image features as there is room for; null where even none would not fit. */
function withFewerFeatures({ options, programs, need }: Planned, room: number): TrainerOptions | null {
  const state = programs.features?.states.get(FEATURES);
  if (!state || options.keepFeatures === null) return null;
  const rowBytes = bytesOf(state.type) / state.shape[2]!;
  const keepFeatures = options.keepFeatures - Math.ceil((need.total - room) / rowBytes);
  return keepFeatures < 0 ? null : { ...options, keepFeatures };
}
