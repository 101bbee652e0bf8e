// texlens eval: scores a model, with or without adapters, on a conversation JSON, and writes the report of it.
import { mkdir } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { type OpenedBackend, openBackend } from '../../backends/open.ts';
import { type Conversation, readConversations } from '../../data/conversation.ts';
import { breakdown } from '../../eval/breakdown.ts';
import { formatScore, METRIC_LABELS, METRIC_NAMES } from '../../eval/labels.ts';
import type { ReportRun } from '../../eval/report.ts';
import { resolveModel } from '../../hub/resolve.ts';
import { readAdapterConfig } from '../../models/qwen2_vl/adapter.ts';
import { defaultModel, MODEL_HELP, NO_TIDY_HELP, TIDY_HELP } from '../../models/qwen2_vl/session.ts';
import { InputError } from '../../shared/errors.ts';
import { writeAtomically } from '../../shared/files.ts';
import { say } from '../../shared/log.ts';
import { scoreModel } from '../../train/score.ts';
import { type DeviceFlags, withDeviceOptions } from '../device_flags.ts';
import { type HubFlags, withHubOptions } from '../hub_flags.ts';
import { whole } from '../numbers.ts';
import { printJson, sayTable, withJsonOption } from '../output.ts';

interface Flags extends DeviceFlags, HubFlags {
  model?: string;
  adapter: string[];
  base?: boolean;
  data: string;
  count?: number;
  maxNewTokens: number;
  prompt?: string;
  tidy?: boolean;
  show: number;
  report?: string;
  worst: number;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  texlens eval --data data/val.json --json
  texlens eval --adapter runs/a/adapter --adapter runs/b/adapter --base --data data/val.json --report report.html
  texlens eval --model Qwen2-VL-2B-Instruct --adapter runs/a/adapter --data data/val.json

--json prints the scores and their definitions; of several runs {"runs": [{"name", "adapter", …}], "definitions"}.`;

export function command(): Command {
  return withDeviceOptions(withHubOptions(withJsonOption(new Command('eval'))))
    .description('Scores a model on labelled images: exact match, edit distance, BLEU; compares adapters.')
    .option('--model <model>', MODEL_HELP)
    .requiredOption('--data <file>', 'a conversation JSON')
    .option(
      '--adapter <folder>',
      'a LoRA adapter for it; several are compared',
      (folder, before: string[]) => [...before, folder],
      [],
    )
    .option('--base', 'compare with the model without an adapter too')
    .option('--count <n>', 'only the first n samples', whole)
    .option('--max-new-tokens <n>', 'tokens to write at most', whole, 256)
    .option('--prompt <text>', 'the instruction beside the image')
    .option('--tidy', TIDY_HELP)
    .option('--no-tidy', NO_TIDY_HELP)
    .option('--show <n>', 'predictions to print beside their truths', whole, 4)
    .option('--report <file>', 'write an HTML page with the scores, where the errors lie and the worst cases')
    .option('--worst <n>', 'cases on that page', whole, 30)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      const rows = (await readConversations(flags.data)).slice(0, flags.count);
      const model = flags.model && (await resolveModel(flags.model, flags));
      // A missing adapter is told now, not after the others were read.
      await Promise.all(flags.adapter.map(readAdapterConfig));
      const withBase = flags.base || flags.adapter.length === 0;
      const base = withBase ? (model ?? (await baseOf(flags.adapter))) : undefined;
      if (flags.report !== undefined) await mkdir(dirname(resolve(flags.report)), { recursive: true });
      const opened = await openBackend(flags);
      const runs: Evaluated[] = [];
      if (base !== undefined) runs.push(await evaluate(rows, opened, flags, base, undefined));
      for (const adapter of flags.adapter) runs.push(await evaluate(rows, opened, flags, model, adapter));

      showPredictions(runs, flags.show);
      say();
      sayScores(runs);
      if (flags.report !== undefined) {
        const { reportPage } = await import('../../eval/report.ts');
        const title = runs.length > 1 ? 'Comparison of readings' : `How ${runs[0]!.name} reads`;
        const data = `${flags.data}, ${rows.length} samples`;
        await writeAtomically(flags.report, await reportPage({ title, data, runs, worst: flags.worst }));
        say(`\n${flags.report}  the report`);
      }
      if (!flags.json) return;
      const [only] = runs;
      const { definitions } = only!.scores;
      if (runs.length === 1) printJson({ ...numbersOf(only!), definitions });
      else
        printJson({
          runs: runs.map((run) => ({ name: run.name, adapter: run.adapter ?? null, ...numbersOf(run) })),
          definitions,
        });
    });
}

interface Evaluated extends ReportRun {
  readonly adapter: string | undefined;
}

/** The one model that all adapters were trained on; the bundled one for none. */
async function baseOf(adapters: readonly string[]): Promise<string> {
  const bases = await Promise.all((adapters.length > 0 ? adapters : [undefined]).map(defaultModel));
  const different = new Set(bases);
  if (different.size > 1)
    throw new InputError(
      `--base: the adapters were trained on different models (${[...different].join(', ')}); name the one to compare with by --model.`,
    );
  return bases[0]!;
}

/** Loads the weights anew, for an adapter is merged into those that are there. */
async function evaluate(
  rows: readonly Conversation[],
  opened: OpenedBackend,
  { maxNewTokens, prompt, tidy }: Flags,
  model: string | undefined,
  adapter: string | undefined,
): Promise<Evaluated> {
  const name = adapter ?? basename(resolve(model!));
  const { pairs, grades, scores, dropped } = await scoreModel(rows, opened, {
    model,
    adapter,
    prompt,
    tidy,
    maxNewTokens,
  });
  for (const { name: image, reason } of dropped) say(`dropped ${image}: ${reason}`);
  const samples = pairs.map(({ image, images }, i) => ({ name: image, images, grade: grades[i]! }));
  return { name, adapter, samples, scores, breakdown: breakdown(grades), dropped: dropped.length };
}

/** The first samples of each run; of one run without its name. */
function showPredictions(runs: readonly Evaluated[], count: number): void {
  for (const run of runs) {
    if (runs.length > 1 && count > 0) say(`\n${run.name}`);
    for (const { grade } of run.samples.slice(0, count))
      say(`\ntruth      ${grade.pair.truth}\nprediction ${grade.pair.prediction}`);
  }
}

function sayScores(runs: readonly Evaluated[]): void {
  const row = (label: string, value: (run: Evaluated) => string): string[] => [label, ...runs.map(value)];
  sayTable(
    [
      row('Formulas', ({ scores }) => String(scores.count)),
      row('Dropped', ({ dropped }) => String(dropped)),
      ...METRIC_NAMES.map((name) => row(METRIC_LABELS[name].label, ({ scores }) => formatScore(scores[name]))),
    ],
    { head: ['', ...runs.map(({ name }) => name)], right: runs.map((_, i) => i + 1) },
  );
}

function numbersOf({ scores, dropped, breakdown: { byLength, bySymbols } }: Evaluated): Record<string, unknown> {
  const { definitions: _, ...numbers } = scores;
  return { ...numbers, dropped, byLength, bySymbols };
}
