// texlens prepare: labelled images from any source, checked, as the CSV and the conversation JSON.
import { Command, InvalidArgumentError, Option } from 'commander';
import { LABEL_NORMALIZATION } from '../../data/normalize_label.ts';
import type { PrepareOptions } from '../../data/prepare.ts';
import { type PrepareReport, readChecks } from '../../data/record.ts';
import { SOURCES } from '../../data/sources/index.ts';
import type { Tally } from '../../data/statistics.ts';
import { LEVELS, type Level } from '../../data/synthetic/grammar.ts';
import { STYLES, type StyleName } from '../../data/synthetic/style.ts';
import { InputError } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import { whole } from '../numbers.ts';
import { printJson, sayTable, withJsonOption } from '../output.ts';

interface Flags {
  source: string;
  out: string;
  count?: number;
  limit?: number;
  level?: Level;
  style?: StyleName;
  formulas?: string[];
  grammar?: number;
  seed?: number;
  imageColumn?: string;
  textColumn?: string;
  subset?: string;
  split?: string;
  normalize?: boolean;
  dropInvalid?: boolean;
  valCount?: number;
  valRatio?: number;
  shuffle?: boolean;
  workers?: number;
  json?: boolean;
}

const ratio = (text: string): number => {
  const value = Number(text);
  if (!(value >= 0 && value < 1)) throw new InvalidArgumentError('expected a number from 0 to below 1.');
  return value;
};

export function command(): Command {
  return withJsonOption(new Command('prepare'))
    .description(
      'Reads or renders formula images, checks them, and writes images, data.csv, train.json and val.json. Killed at any ' +
        'moment, the same command goes on where it was.',
    )
    .requiredOption(
      '--source <source>',
      `one of ${Object.values(SOURCES)
        .map(({ form }) => form)
        .join(', ')}`,
    )
    .requiredOption('--out <folder>', 'where to write')
    .option('--limit <n>', 'take only the first n rows of the source; of synthetic, make n', whole)
    .option('--count <n>', 'the same as --limit; of synthetic, which makes 1000 unless told', whole)
    .addOption(new Option('--level <level>', 'difficulty (synthetic; easy unless told)').choices(LEVELS))
    .addOption(new Option('--style <style>', 'look (synthetic; printed unless told)').choices(STYLES))
    .option(
      '--formulas <files...>',
      'lists of formulas to draw, one a line (synthetic); in the order of a shuffle, each once before any twice',
    )
    .option('--grammar <r>', 'share that the grammar makes beside --formulas; 0 unless told', ratio)
    .option('--seed <n>', 'seed of formulas, looks and --shuffle; 0 unless told', whole)
    .option('--image-column <name>', 'column or key of the images')
    .option('--text-column <name>', 'column or key of the labels')
    .option('--subset <name>', 'subset of a hub data set; by default the one that its README names first')
    .option('--split <name>', 'split of a hub data set; train unless told')
    .option('--normalize', 'give labels that differ only in spaces one spelling (see below)')
    .option('--drop-invalid', 'leave out labels that KaTeX cannot parse; without it they are kept and told')
    .addOption(
      new Option('--val-count <n>', 'samples that validate; by default the last 4')
        .argParser(whole)
        .conflicts('valRatio'),
    )
    .option('--val-ratio <r>', 'share that validates', ratio)
    .option('--shuffle', 'shuffle before splitting')
    .option('--workers <n>', 'threads; by default one a core', whole)
    .addHelpText('after', helpText())
    .action(async (flags: Flags) => {
      const { prepareData } = await import('../../data/prepare.ts');
      const report = await prepareData(optionsOf(flags));
      say(
        `${report.already ? 'already done: ' : ''}${report.train} training and ${report.val} validation samples in ${report.out}`,
      );
      await sayChecks(report);
      if (flags.json) printJson(report);
    });
}

function helpText(): string {
  const forms = Object.values(SOURCES).map(({ form, summary }) => `  ${form.padEnd(23)}${summary}`);
  return `
Sources:
${forms.join('\n')}

--normalize: ${LABEL_NORMALIZATION}.

Examples:
  texlens prepare --source synthetic --count 2000 --style handwritten --out data/hand
  texlens prepare --source synthetic --formulas held-out.txt --style wild --count 500 --out data/held-out
  texlens prepare --source folder:scans --val-ratio 0.1 --shuffle --out data/scans
  texlens prepare --source modelscope:AI-ModelScope/LaTeX_OCR --limit 1000 --out data/latex-ocr
  texlens prepare --source 'parquet:LaTeX_OCR/*.parquet' --image-column image --out data/parquet
  texlens prepare --source archive:scans.tar.gz --drop-invalid --out data/scans`;
}

/** The table of what the checks found; prepare.json has it with more examples. */
async function sayChecks(report: PrepareReport): Promise<void> {
  const { drops, flags } = await readChecks(report.out);
  const row =
    (what: string) =>
    ([check, { count, examples }]: [string, Tally]): string[] => [
      check,
      String(count),
      what,
      examples[0]!.slice(0, 80),
    ];
  const rows = [...Object.entries(drops).map(row('left out')), ...Object.entries(flags).map(row('kept'))];
  if (report.normalized > 0) rows.push(['label normalized', String(report.normalized), 'kept', '']);
  if (report.valLabelsInTrain > 0)
    rows.push(['validation label also in training', String(report.valLabelsInTrain), 'kept', '']);
  sayTable(rows, { head: ['check', 'rows', 'were', 'the first'], right: [1] });
}

function optionsOf(flags: Flags): PrepareOptions {
  const { out, count, limit, seed, level, style, workers, normalize, dropInvalid } = flags;
  const { formulas, grammar, imageColumn, textColumn, subset, split } = flags;
  const colon = flags.source.indexOf(':');
  const kind = colon < 0 ? flags.source : flags.source.slice(0, colon);
  const path = colon < 0 ? '' : flags.source.slice(colon + 1);
  const synthetic = kind === 'synthetic';
  if (count !== undefined && limit !== undefined) throw new InputError('--count and --limit: mean the same; give one.');
  const taken = limit ?? count;
  const own = synthetic ? { count: taken, seed } : {};
  return {
    out,
    source: { kind, path, ...own, level, style, formulas, grammar, imageColumn, textColumn, subset, split },
    limit: synthetic ? undefined : taken,
    ...{ normalize, dropInvalid, workers, valCount: flags.valCount, valRatio: flags.valRatio },
    shuffleSeed: flags.shuffle ? (seed ?? 0) : undefined,
  };
}
