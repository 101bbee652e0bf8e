// texlens score: scores what any model read, from files of truths and predictions, as eval scores its own.
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { type PredictionColumns, readPredictions } from '../../data/predictions.ts';
import { withBoxMatch } from '../../eval/boxes/grade.ts';
import { breakdown } from '../../eval/breakdown.ts';
import { type Grade, grade, score } from '../../eval/metrics.ts';
import type { ReportRun } from '../../eval/report.ts';
import { turns } from '../../shared/turns.ts';
import { withJsonOption } from '../output.ts';
import { readyReport, type ScoreFlags, tellScores, withScoreOptions } from '../score_output.ts';

interface Flags extends ScoreFlags {
  truthColumn?: string;
  predictionColumn?: string;
}

const EXAMPLES = `
Examples:
  texlens score predictions.csv --json
  texlens score pix2tex.jsonl texify.json --report report.html
  texlens score table.tsv --truth-column latex --prediction-column answer

A row has a truth (truth, gt, label, latex, …), a prediction (prediction, pred, output, …; none counts as wrong) and may
have an image or an id. .csv, .tsv, .jsonl or .json: an array of such objects, as CDM's evaluation takes it.
--json prints the scores and their definitions; of several files {"runs": [{"name", …}], "definitions"}.`;

export function command(): Command {
  const verb = withJsonOption(new Command('score'))
    .description('Scores predictions of any model against their truths; several files are compared.')
    .argument('<files...>', 'tables of truths and predictions')
    .option('--truth-column <name>', 'column or key of the truths')
    .option('--prediction-column <name>', 'column or key of the predictions');
  return withScoreOptions(verb)
    .addHelpText('after', EXAMPLES)
    .action(async (files: string[], flags: Flags) => {
      const columns = { truth: flags.truthColumn, prediction: flags.predictionColumn };
      await readyReport(flags.report);
      const runs: ReportRun[] = [];
      for (const file of files) runs.push(await scored(file, columns));
      await tellScores(runs, { ...flags, data: files.join(', ') });
    });
}

async function scored(file: string, columns: PredictionColumns): Promise<ReportRun> {
  const rows = await readPredictions(file, columns);
  const turn = turns();
  const graded: Grade[] = [];
  for (const row of rows) {
    await turn();
    graded.push(grade(row));
  }
  const grades = await withBoxMatch(graded, 'matching boxes');
  // A path may be that of another machine: the report then goes without the picture.
  const images = await Promise.all(rows.map(async ({ image }) => (image && (await isFile(image)) ? [image] : [])));
  const samples = rows.map(({ name }, i) => ({ name, images: images[i]!, grade: grades[i]! }));
  return { name: file, samples, scores: score(grades), breakdown: breakdown(grades), dropped: 0 };
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isFile() ?? false;
