// The flags that override a run configuration: --set KEY=VALUE and a dedicated flag for the usual keys.
import { type Command, Option } from 'commander';
import { parse } from 'yaml';
import { InputError } from '../shared/errors.ts';
import { EXPORTER_NAMES } from '../tracker/exporters/index.ts';
import { type Overrides, TEXT_KEYS } from '../train/run_config.ts';

/** `--set` texts such as "train.lr=1e-4" as overrides; values are read as YAML. */
export function parseSettings(settings: readonly string[]): Record<string, unknown> {
  const overrides: Record<string, unknown> = Object.create(null);
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1) throw new InputError(`--set ${setting}: expected KEY=VALUE, such as --set train.lr=1e-4`);
    const key = setting.slice(0, equals).trim();
    overrides[key] = flagValue(key, setting.slice(equals + 1));
  }
  return overrides;
}

function flagValue(key: string, text: string): unknown {
  if (TEXT_KEYS.has(key)) return text;
  try {
    return parse(text) as unknown;
  } catch {
    return text; // The check of the whole then says what was expected.
  }
}

const FLAGS: readonly (readonly [flag: string, key: string, help: string])[] = [
  ['--model <model>', 'model', 'base model: a folder, or modelscope:… or hf:…'],
  ['--train-data <file>', 'data.train', 'conversation JSON to train on'],
  ['--val-data <file>', 'data.val', 'conversation JSON to evaluate on'],
  ['--cache-limit <gb>', 'data.cache_limit_gb', 'disk space for processed samples; 0 keeps none'],
  ['--output <folder>', 'output', 'folder of the run'],
  ['--method <name>', 'method', 'lora or full'],
  ['--lr <number>', 'train.lr', 'learning rate'],
  ['--epochs <number>', 'train.epochs', 'passes over the data; replaces max_steps'],
  ['--max-steps <count>', 'train.max_steps', 'optimiser steps; replaces epochs'],
  ['--batch-tokens <count>', 'train.batch_tokens', 'tokens of a micro batch'],
  ['--row-tokens <count>', 'train.row_tokens', 'tokens of a packing row: the longest sample'],
  ['--accumulate <count>', 'train.accumulate', 'micro batches of one optimiser step'],
  ['--seed <count>', 'train.seed', 'seed of all randomness'],
  ['--device <name>', 'device', 'auto, cpu or cuda'],
  ['--run-name <text>', 'track.name', 'name of the run; by default its folder'],
  ['--project <text>', 'track.project', 'project the run belongs to'],
  ['--notes <text>', 'track.notes', 'what the run is for'],
];

const TRACK = `where the run is recorded besides its folder: ${EXPORTER_NAMES.join(', ')}; may be repeated (track.to)`;

/** Adds the dedicated flags and `--set` to a command; `overridesFrom` reads them back. */
export function withRunConfigOptions(command: Command): Command {
  for (const [flags, key, help] of FLAGS) command.addOption(new Option(flags, `${help} (${key})`));
  return command
    .option('--track <name>', TRACK, collect)
    .option('--set <key=value>', 'any key of the configuration, such as train.lr=1e-4; may be repeated', collect, []);
}

const collect = (word: string, earlier: readonly string[] = []): string[] => [...earlier, word];

/** The overrides a command line asks for; a dedicated flag wins over `--set`. */
export function overridesFrom(command: Command): Overrides {
  const options = command.opts<Record<string, unknown>>();
  const overrides = parseSettings((options.set as string[] | undefined) ?? []);
  for (const [flags, key] of FLAGS) {
    const text = options[new Option(flags).attributeName()];
    if (typeof text === 'string') overrides[key] = flagValue(key, text);
  }
  if (options.track !== undefined) overrides['track.to'] = options.track;
  return overrides;
}
