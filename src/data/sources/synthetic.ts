// Source `synthetic`: formulas from a seeded grammar, set and drawn in process.
import { InputError } from '../../shared/errors.ts';
import type { Item, Source, SourceOptions } from '../source.ts';

export async function open(
  _path: string,
  { count = 1000, seed = 0, level = 'easy', style = 'printed' }: SourceOptions,
): Promise<Source> {
  if (count < 1) throw new InputError(`--count ${count}: expected at least 1 sample.`);
  const draw = { seed, level, style };
  return {
    options: { count, ...draw },
    files: [],
    total: count,
    *rows(from): Iterable<Item> {
      for (let index = from; index < count; index++) yield { draw, index };
    },
  };
}
