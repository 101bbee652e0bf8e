// texlens init: a new small model to train from scratch, with a vocabulary of the LaTeX that the grammar writes.
import { Command } from 'commander';
import { LEVELS, randomFormula, tokensOf } from '../../data/synthetic/grammar.ts';
import { createModel, SMALL } from '../../models/qwen2_vl/create.ts';
import { say } from '../../shared/log.ts';
import { whole } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

export function command(): Command {
  return withJsonOption(new Command('init'))
    .description('Makes a new small Qwen2-VL-architecture model with random weights and a LaTeX tokenizer.')
    .requiredOption('--out <folder>', 'where to write the snapshot')
    .option('--seed <n>', 'seed of the weights', whole, 0)
    .addHelpText(
      'after',
      '\nExample:\n  texlens init --out models/fresh\n  texlens train recipes/base.yaml --model models/fresh',
    )
    .action(async (flags: { out: string; seed: number; json?: boolean }) => {
      const words = new Set<string>(['\\LaTeX']);
      for (const level of LEVELS)
        for (let i = 0; i < 5000; i++)
          for (const word of tokensOf(randomFormula(1, i, level))) if (word.length > 1) words.add(word);
      await createModel(flags.out, [...words].sort(), SMALL, flags.seed);
      say(`a new model in ${flags.out}`);
      if (flags.json) printJson({ out: flags.out, words: words.size });
    });
}
