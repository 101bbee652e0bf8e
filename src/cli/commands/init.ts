// texlens init: a new model to train from scratch, with a vocabulary of the LaTeX that the grammar writes, or that
// lists of formulas hold.
import { readdir } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { InputError } from '../../shared/errors.ts';
import { readyFolder } from '../../shared/files.ts';
import { say } from '../../shared/log.ts';
import { whole } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags {
  out: string;
  size: 'small' | 'base';
  formulas?: string[];
  vocabulary: number;
  seed: number;
  json?: boolean;
}

/** Formulas of each level that tell the grammar's words. */
const GRAMMAR_FORMULAS = 5000;

export function command(): Command {
  return withJsonOption(new Command('init'))
    .description('Makes a new Qwen2-VL-architecture model with random weights and a LaTeX tokenizer.')
    .requiredOption('--out <folder>', 'where to write the snapshot')
    .addOption(
      new Option('--size <size>', 'small: 4 layers of vision and 3 of text; base: 8 and 6, wider')
        .choices(['small', 'base'])
        .default('small'),
    )
    .option('--formulas <files...>', 'lists of normalize: the tokenizer learns their words, beside the grammar’s')
    .option('--vocabulary <n>', 'entries of the tokenizer, with --formulas', whole, 1000)
    .option('--seed <n>', 'seed of the weights', whole, 0)
    .addHelpText(
      'after',
      `
Examples:
  texlens init --out models/fresh
  texlens init --size base --formulas train.txt --out models/fresh
  texlens train recipes/base-1-symbols.yaml --model models/fresh`,
    )
    .action(async (flags: Flags) => {
      const held = await readdir(flags.out).catch(() => []);
      if (held.length > 0)
        throw new InputError(
          `--out ${flags.out}: holds other files already (${held.slice(0, 3).join(', ')}), and a model in it would be lost; choose another or an empty folder.`,
        );
      await readyFolder(flags.out, `--out ${flags.out}`);
      const { createModel, SIZES } = await import('../../models/qwen2_vl/create.ts');
      const words = flags.formulas ? await learnedWords(flags.formulas, flags.vocabulary) : await grammarTokens();
      const { entries, parameters } = await createModel(flags.out, words, SIZES[flags.size], flags.seed);
      say(`a new model of ${parameters} parameters and ${entries} vocabulary entries in ${flags.out}`);
      if (flags.json) printJson({ out: flags.out, words: words.length, entries, parameters });
    });
}

async function grammarFormulas(): Promise<string[]> {
  const { LEVELS, randomFormula } = await import('../../data/synthetic/grammar.ts');
  return LEVELS.flatMap((level) => Array.from({ length: GRAMMAR_FORMULAS }, (_, i) => randomFormula(1, i, level)));
}

async function grammarTokens(): Promise<string[]> {
  const tokens = (await grammarFormulas()).flatMap((formula) => formula.split(' '));
  return [...new Set(['\\LaTeX', ...tokens.filter((token) => token.length > 1)])].sort();
}

async function learnedWords(files: readonly string[], size: number): Promise<string[]> {
  const { readLabels } = await import('../labels.ts');
  const { learnWords } = await import('../../models/qwen2_vl/vocabulary.ts');
  const { vocabularyOf } = await import('../../models/qwen2_vl/latex_tokenizer.ts');
  const formulas = (await Promise.all(files.map((file) => readLabels(file)))).flat();
  const grammar = await grammarTokens();
  const given = vocabularyOf(grammar);
  const learned = learnWords(formulas, size, given);
  if (given.length + learned.length > size)
    throw new InputError(
      `--vocabulary ${size}: single tokens and named operators are ${given.length + learned.length} already; give more, or lists that normalize wrote.`,
    );
  return [...grammar, ...learned];
}
