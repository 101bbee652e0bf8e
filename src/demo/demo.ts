// The demonstration: teaches the bundled model one person's hand, by sums. Data, score, LoRA fine-tuning, score again; every part is
// what the commands prepare, eval and train do, and all of it stays in one folder.
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OpenedBackend } from '../backends/open.ts';
import { type Conversation, readConversations } from '../data/conversation.ts';
import { prepareData } from '../data/prepare.ts';
import { editDistance } from '../eval/distance.ts';
import type { Scores } from '../eval/metrics.ts';
import { bundledModel } from '../models/bundled.ts';
import { InputError, RunError } from '../shared/errors.ts';
import { writeAtomically } from '../shared/files.ts';
import { say } from '../shared/log.ts';
import { FILES } from '../tracker/schema.ts';
import { runTraining } from '../train/run.ts';
import { parseRunConfig } from '../train/run_config.ts';
import { type Scored, scoreModel } from '../train/score.ts';
import { drawPredictions, type Prediction } from './picture.ts';

export interface DemoOptions {
  readonly out: string;
  /** formulas to train on, and held out */
  readonly train: number;
  readonly heldOut: number;
  readonly steps: number;
}

/** What the demonstration does unless told. */
export const DEMO: DemoOptions = { out: 'texlens-demo', train: 600, heldOut: 100, steps: 45 };
/** The same in little, to see that all of it works. */
export const QUICK: DemoOptions = { out: 'texlens-demo', train: 200, heldOut: 28, steps: 12 };

type Score = Pick<Scores, 'exactMatch' | 'editDistance' | 'count'>;

export interface DemoReport {
  readonly base: Score;
  readonly tuned: Score;
  readonly trainedOn: number;
  readonly steps: number;
  readonly seconds: number;
  readonly model: string;
  readonly adapter: string;
  readonly data: string;
  readonly picture: string;
  readonly definition: string;
}

// The same from src/demo and from dist/demo.
const RECIPE = fileURLToPath(new URL('../../recipes/demo.yaml', import.meta.url));
/** Any other than the seeds of the base's own data. */
const SEED = 2026;
const MAX_NEW_TOKENS = 48;
const PICTURED = 12;
const SHOWN = 6;

export async function runDemo(options: DemoOptions, opened: OpenedBackend): Promise<DemoReport> {
  const started = performance.now();
  const model = bundledModel();
  const data = join(options.out, 'data');
  const run = join(options.out, 'run');
  // An earlier demonstration's run is replaced; it stands beside its data.
  const held = await readdir(run).catch((): string[] => []);
  if (held.length > 0 && !(held.includes(FILES.run) && existsSync(data)))
    throw new InputError(
      `--out ${options.out}: ${run} is there and not of a demonstration (it holds ${held.slice(0, 3).join(', ')}), and would be deleted; choose another folder.`,
    );
  step(`1. ${options.train + options.heldOut} sums in one person's hand → ${data}`);
  const heldOut = await prepare(options, data);

  step(`2. What the base model, which has never met this hand, reads of ${heldOut.length} formulas held out`);
  const score = (adapter?: string): Promise<Scored> =>
    scoreModel(heldOut, opened, { model, adapter, maxNewTokens: MAX_NEW_TOKENS, secondLook: false });
  const base = await score();
  tell(base.scores);

  step(`3. LoRA fine-tuning → ${run}`);
  await rm(run, { recursive: true, force: true });
  const recipe = parseRunConfig(await readFile(RECIPE, 'utf8'), RECIPE, {
    model,
    'data.train': join(data, 'train.json'),
    'train.max_steps': options.steps,
    output: run,
  });
  const { output: adapter } = await runTraining(recipe, opened, false);

  step('4. The same formulas with the adapter');
  const tuned = await score(adapter);
  tell(tuned.scores);

  const predictions = base.pairs.map(({ image, truth, prediction }, i) => ({
    image,
    truth,
    base: prediction,
    tuned: tuned.pairs[i]!.prediction,
  }));
  const picture = join(options.out, 'predictions.png');
  await drawPredictions(predictions.slice(0, PICTURED), picture);
  const report: DemoReport = {
    base: briefly(base.scores),
    tuned: briefly(tuned.scores),
    trainedOn: options.train,
    steps: options.steps,
    seconds: Math.round((performance.now() - started) / 1000),
    ...{ model, adapter, data, picture },
    definition: base.scores.definitions.editDistance,
  };
  await writeAtomically(
    join(options.out, 'report.json'),
    `${JSON.stringify({ ...report, predictions: predictions.map(scored) }, null, 2)}\n`,
  );
  tellPredictions(predictions);
  tellOutcome(report, options.out);
  return report;
}

/** Prepares the data; held out are those of its validation formulas that none of the training formulas equals. */
async function prepare({ train, heldOut }: DemoOptions, out: string): Promise<Conversation[]> {
  const source = {
    kind: 'synthetic',
    level: 'sums',
    style: 'scrawl',
    count: train + heldOut,
    seed: SEED,
  } as const;
  await prepareData({ out, source, valCount: heldOut });
  const known = new Set((await readConversations(join(out, 'train.json'))).map((row) => row.text));
  const fresh = (await readConversations(join(out, 'val.json'))).filter((row) => !known.has(row.text));
  if (fresh.length === 0) throw new RunError(`${out}: every held-out formula is also trained on.`);
  return fresh;
}

const briefly = ({ exactMatch, editDistance, count }: Scores): Score => ({ exactMatch, editDistance, count });
const scored = (p: Prediction): object => ({
  ...p,
  distance: { base: editDistance(p.truth, p.base), tuned: editDistance(p.truth, p.tuned) },
});

/** How this program was called. */
const TEXLENS = process.argv[1]?.endsWith('.js') ? `node ${relative(process.cwd(), process.argv[1])}` : 'texlens';

const step = (title: string): void => say(`\n── ${title}`);

const tell = ({ exactMatch, editDistance: distance, count }: Scores): void =>
  say(`edit distance ${distance.toFixed(3)}, exact match ${percent(exactMatch)}, of ${count} formulas`);

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

function tellPredictions(predictions: readonly Prediction[]): void {
  step('Predictions beside truths');
  for (const { truth, base, tuned } of predictions.slice(0, SHOWN))
    say(`\ntruth ${truth}\nbase  ${base}\ntuned ${tuned}${tuned === truth ? '  ✓' : ''}`);
}

function tellOutcome({ base, tuned, seconds, adapter, data, picture, definition }: DemoReport, out: string): void {
  step(`Done in ${seconds} s`);
  const row = (name: string, score: Score): string =>
    `${name.padEnd(6)} edit distance ${score.editDistance.toFixed(3)}   exact match ${percent(score.exactMatch)}`;
  say(`${row('base', base)}\n${row('tuned', tuned)}\n(${definition})\n`);
  say(`${data}  images, data.csv, train.json, val.json`);
  say(`${adapter}  the adapter, in peft's format`);
  say(`${picture}  formulas beside what was read`);
  say(`${join(out, 'report.json')}  scores and every prediction`);
  say(`\nRead a picture with it:\n  ${TEXLENS} predict ${join(data, 'images', '000000.png')} --adapter ${adapter}`);
}
