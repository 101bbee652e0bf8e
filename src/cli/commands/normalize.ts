// texlens normalize: lists of formulas in the one spelling that scores compare, for training labels and vocabularies.
import { resolve } from 'node:path';
import { Command } from 'commander';
import { InputError } from '../../shared/errors.ts';
import { readyFile, writeAtomically } from '../../shared/files.ts';
import { say } from '../../shared/log.ts';
import { whole } from '../numbers.ts';
import { clean, printJson, sayTable, withJsonOption } from '../output.ts';

interface Flags {
  out?: string;
  heldOut?: string;
  heldOutCount: number;
  maxTokens?: number;
  minCount: number;
  unique?: boolean;
  without?: string[];
  textColumn?: string;
  seed: number;
  workers?: number;
  json?: boolean;
}

export function command(): Command {
  return withJsonOption(new Command('normalize'))
    .description(
      'Writes formulas one a line in the canonical spelling of eval’s canonical tokens, so that as few spellings as ' +
        'can be have one picture. (prepare --normalize changes spaces alone.)',
    )
    .argument('[files...]', 'lists: .csv, .tsv, .jsonl, or else one formula a line; - or none is stdin')
    .option('--out <file>', 'where to write; by default stdout')
    .option('--text-column <name>', 'column or key of the formulas; by default latex, text, label or formula')
    .option('--max-tokens <n>', 'leave out formulas of more canonical tokens', whole)
    .option('--min-count <n>', 'leave out formulas with a token that fewer than n formulas have', whole, 1)
    .option('--unique', 'each formula once')
    .option('--without <files...>', 'leave out the formulas of these lists, a test set’s, however spaced')
    .option('--held-out <file>', 'write a share here, drawn from the different formulas; none of it goes to --out')
    .option('--held-out-count <n>', 'how many; rare tokens may be among them', whole, 1000)
    .option('--seed <n>', 'seed of the draw', whole, 0)
    .option('--workers <n>', 'threads; by default one a core', whole)
    .addHelpText(
      'after',
      `
Examples:
  texlens normalize formulas.txt --unique --out labels.txt
  texlens normalize a.txt b.csv --max-tokens 400 --min-count 10 --out train.txt --held-out test.txt
  echo '{a \\over b}' | texlens normalize`,
    )
    .action(async (files: string[], flags: Flags) => {
      if (flags.json && flags.out === undefined)
        throw new InputError('--json: stdout holds the formulas already; name a file with --out.');
      if (flags.out !== undefined && flags.heldOut !== undefined && resolve(flags.out) === resolve(flags.heldOut))
        throw new InputError(`--held-out ${flags.heldOut}: is --out too; give each a file of its own.`);
      if (flags.out !== undefined) await readyFile(flags.out, '--out');
      if (flags.heldOut !== undefined) await readyFile(flags.heldOut, '--held-out');
      const { canonicalLabels, choose, readLabels } = await import('../labels.ts');
      const names = files.length > 0 ? files : ['-'];
      const sources = (await Promise.all(names.map((file) => readLabels(file, flags.textColumn)))).flat();
      const labels = await canonicalLabels(sources, flags.workers);
      const excluded = (
        await Promise.all((flags.without ?? []).map((file) => readLabels(file, flags.textColumn)))
      ).flat();
      const without = await canonicalLabels(excluded, flags.workers);
      const { kept, heldOut, dropped } = choose(labels, sources, {
        maxTokens: flags.maxTokens ?? Number.POSITIVE_INFINITY,
        minCount: flags.minCount,
        unique: flags.unique ?? false,
        without,
        heldOut: flags.heldOut === undefined ? 0 : flags.heldOutCount,
        seed: flags.seed,
      });
      const lines = (formulas: readonly string[]): string => formulas.map((formula) => `${formula}\n`).join('');
      if (flags.out === undefined) process.stdout.write(lines(kept));
      else await writeAtomically(flags.out, lines(kept));
      if (flags.heldOut !== undefined) await writeAtomically(flags.heldOut, lines(heldOut));
      const respelled = labels.filter((label, i) => 'text' in label && label.text !== sources[i]).length;
      say(
        `${sources.length} formulas: ${kept.length} written, ${heldOut.length} held out; ${respelled} were spelled otherwise`,
      );
      sayTable(
        [...dropped].map(([reason, { count, first }]) => [reason, count, clean(first.slice(0, 80))]),
        { head: ['left out', 'formulas', 'the first'], right: [1] },
      );
      if (flags.json)
        printJson({
          formulas: sources.length,
          written: kept.length,
          heldOut: heldOut.length,
          respelled,
          dropped: Object.fromEntries(dropped),
        });
    });
}
