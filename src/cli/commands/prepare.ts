// texlens prepare: renders or reads formula images and writes the CSV and the conversation JSON.
import { Command, InvalidArgumentError, Option } from 'commander';
import type { PrepareOptions } from '../../data/prepare.ts';
import { LEVELS, type Level } from '../../data/synthetic/grammar.ts';
import { STYLES, type StyleName } from '../../data/synthetic/style.ts';
import { InputError } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import { whole } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags {
  source: string;
  out: string;
  count?: number;
  level: Level;
  style: StyleName;
  seed: number;
  valCount?: number;
  valRatio?: number;
  shuffle?: boolean;
  imageColumn?: string;
  textColumn?: string;
  workers?: number;
  json?: boolean;
}

const ratio = (text: string): number => {
  const value = Number(text);
  if (!(value >= 0 && value < 1)) throw new InvalidArgumentError('expected a number from 0 to below 1.');
  return value;
};

export { prepareCommand as command };

export function prepareCommand(): Command {
  return withJsonOption(new Command('prepare'))
    .description('Renders or reads formula images; writes images, data.csv, train.json and val.json.')
    .requiredOption('--source <source>', 'synthetic, or folder:PATH with images and a labels file')
    .requiredOption('--out <folder>', 'where to write')
    .option('--count <n>', 'formulas to make (synthetic, 1000 unless told), or rows to take (folder, all)', whole)
    .addOption(new Option('--level <level>', 'difficulty (synthetic)').choices(LEVELS).default('easy'))
    .addOption(new Option('--style <style>', 'look (synthetic)').choices(STYLES).default('printed'))
    .option('--seed <n>', 'seed of formulas, looks and split', whole, 0)
    .addOption(
      new Option('--val-count <n>', 'samples that validate; by default the last 4')
        .argParser(whole)
        .conflicts('valRatio'),
    )
    .option('--val-ratio <r>', 'share that validates', ratio)
    .option('--shuffle', 'shuffle before splitting')
    .option('--image-column <name>', 'column of image paths (folder)')
    .option('--text-column <name>', 'column of labels (folder)')
    .option('--workers <n>', 'threads; by default one a core', whole)
    .addHelpText(
      'after',
      '\nExamples:\n  texlens prepare --source synthetic --count 2000 --style handwritten --out data/hand\n  texlens prepare --source folder:scans --val-ratio 0.1 --shuffle --out data/scans',
    )
    .action(async (flags: Flags) => {
      const { prepareData } = await import('../../data/prepare.ts');
      const report = await prepareData(optionsOf(flags));
      say(
        `${report.already ? 'already done: ' : ''}${report.train} training and ${report.val} validation samples in ${report.out}`,
      );
      for (const [why, count] of Object.entries(report.dropped)) say(`  dropped: ${count} × ${why}`);
      if (report.valLabelsInTrain > 0)
        say(`  note: ${report.valLabelsInTrain} validation labels also stand in the training set`);
      if (flags.json) printJson(report);
    });
}

function optionsOf(flags: Flags): PrepareOptions {
  const { source, out, count, level, style, seed, workers } = flags;
  const common = {
    out,
    workers,
    valCount: flags.valCount,
    valRatio: flags.valRatio,
    shuffleSeed: flags.shuffle ? seed : undefined,
  };
  if (source === 'synthetic')
    return { ...common, source: { kind: 'synthetic', count: count ?? 1000, seed, level, style } };
  if (source.startsWith('folder:') && source.length > 7)
    return {
      ...common,
      source: {
        kind: 'folder',
        path: source.slice(7),
        count,
        columns: { image: flags.imageColumn, text: flags.textColumn },
      },
    };
  throw new InputError(`--source ${source}: expected synthetic or folder:PATH, such as --source folder:scans`);
}
