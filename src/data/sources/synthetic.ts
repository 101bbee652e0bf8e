// Source `synthetic`: formulas from a seeded grammar or from lists, set and drawn in process.
import { InputError } from '../../shared/errors.ts';
import { inputFile } from '../input_file.ts';
import type { Item, Source, SourceOptions } from '../source.ts';
import { formulasIn } from '../synthetic/formula_lists.ts';

export async function open(
  _path: string,
  { count = 1000, seed = 0, level = 'easy', style = 'printed', formulas, grammar }: SourceOptions,
): Promise<Source> {
  if (count < 1) throw new InputError(`--count ${count}: expected at least 1 sample.`);
  if (grammar !== undefined && formulas === undefined)
    throw new InputError('--grammar: is the share beside lists of formulas; give --formulas too, or leave it out.');
  // Lists alone, unless told: a held-out set is to hold them and nothing else.
  const lists = formulas === undefined ? {} : { formulas, grammar: grammar ?? 0 };
  if (formulas !== undefined) formulasIn(formulas);
  const draw = { seed, level, style, ...lists };
  return {
    options: { count, ...draw },
    files: () => Promise.all((formulas ?? []).map((path) => inputFile(path, 'a text file, one formula a line'))),
    total: count,
    *rows(from): Iterable<Item> {
      for (let index = from; index < count; index++) yield { draw, index };
    },
  };
}
