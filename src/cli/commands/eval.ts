// texlens eval: scores a model, with or without adapters, on a conversation JSON, and writes the report of it.
import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { type OpenedBackend, openBackend } from '../../backends/open.ts';
import { type Conversation, readConversations } from '../../data/conversation.ts';
import { withBoxMatch } from '../../eval/boxes/grade.ts';
import { breakdown } from '../../eval/breakdown.ts';
import { score } from '../../eval/metrics.ts';
import type { ReportRun } from '../../eval/report.ts';
import type { Look } from '../../generate/second_look.ts';
import { resolveAdapter } from '../../hub/resolve.ts';
import { readAdapterConfig } from '../../models/qwen2_vl/adapter.ts';
import { defaultModel, MODEL_HELP, NO_TIDY_HELP, TIDY_HELP } from '../../models/qwen2_vl/session.ts';
import { InputError } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import { scoreModel } from '../../train/score.ts';
import { NO_SECOND_LOOK_HELP, SECOND_LOOK_HELP } from '../../train/second_look.ts';
import { type DeviceFlags, withReadingDeviceOptions } from '../device_flags.ts';
import { type HubFlags, modelFolder, withHubOptions } from '../hub_flags.ts';
import { count, upTo64 } from '../numbers.ts';
import { withJsonOption } from '../output.ts';
import { readyReport, type ScoreFlags, tellScores, withScoreOptions } from '../score_output.ts';

interface Flags extends DeviceFlags, HubFlags, ScoreFlags {
  model?: string;
  adapter: string[];
  base?: boolean;
  data: string;
  count?: number;
  maxNewTokens: number;
  prompt?: string;
  tidy?: boolean;
  secondLook?: number | false;
}

const EXAMPLES = `
Examples:
  texlens eval --data data/val.json --json
  texlens eval --adapter runs/a/adapter --adapter runs/b/adapter --base --data data/val.json --report report.html
  texlens eval --model Qwen2-VL-2B-Instruct --adapter runs/a/adapter --data data/val.json

--json prints the scores and their definitions; of several runs {"runs": [{"name", "adapter", …}], "definitions"}.
"looks" counts the readings that are the first ones, mended ones, and those of a second look.`;

export function command(): Command {
  const verb = withReadingDeviceOptions(withHubOptions(withJsonOption(new Command('eval'))))
    .description('Scores a model on labelled images: exact match, edit distance, BLEU; compares adapters.')
    .option('--model <model>', MODEL_HELP)
    .requiredOption('--data <file>', 'a conversation JSON')
    .option(
      '--adapter <adapter>',
      'a LoRA adapter for it: a folder, or HUB:OWNER/NAME; several are compared',
      (adapter, before: string[]) => [...before, adapter],
      [],
    )
    .option('--base', 'compare with the model without an adapter too')
    .option('--count <n>', 'only the first n samples', count)
    .option('--max-new-tokens <n>', 'tokens to write at most', count, 256)
    .option('--prompt <text>', 'the instruction beside the image')
    .option('--tidy', TIDY_HELP)
    .option('--no-tidy', NO_TIDY_HELP)
    .option('--second-look <n>', SECOND_LOOK_HELP, upTo64)
    .option('--no-second-look', NO_SECOND_LOOK_HELP);
  return withScoreOptions(verb)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      const rows = (await readConversations(flags.data)).slice(0, flags.count);
      const model = flags.model && (await modelFolder(flags.model, flags));
      // A missing adapter is told now, not after the others were read.
      const adapters: Adapter[] = [];
      for (const name of flags.adapter) adapters.push({ name, folder: await resolveAdapter(name, flags) });
      await Promise.all(adapters.map(({ folder }) => readAdapterConfig(folder)));
      const withBase = flags.base || adapters.length === 0;
      const base = withBase ? (model ?? (await baseOf(adapters))) : undefined;
      await readyReport(flags.report);
      const opened = await openBackend(flags);
      const runs: Evaluated[] = [];
      if (base !== undefined) runs.push(await evaluate(rows, opened, flags, base, undefined));
      for (const adapter of adapters) runs.push(await evaluate(rows, opened, flags, model, adapter));

      const data = `${flags.data}, ${rows.length} samples`;
      await tellScores(runs, {
        ...flags,
        data,
        extra: ({ adapter, looks }) => ({ adapter: adapter?.name ?? null, looks }),
      });
    });
}

/** As it was named, and where it lies. */
interface Adapter {
  readonly name: string;
  readonly folder: string;
}

interface Evaluated extends ReportRun {
  readonly adapter: Adapter | undefined;
  /** readings by where they are from */
  readonly looks: Readonly<Record<Look, number>>;
}

/** The one model that all adapters were trained on; the bundled one for none. */
async function baseOf(adapters: readonly Adapter[]): Promise<string> {
  const folders = adapters.length > 0 ? adapters.map(({ folder }) => folder) : [undefined];
  const bases = await Promise.all(folders.map(defaultModel));
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
  { maxNewTokens, prompt, tidy, secondLook }: Flags,
  model: string | undefined,
  adapter: Adapter | undefined,
): Promise<Evaluated> {
  const name = adapter?.name ?? basename(resolve(model!));
  const { pairs, dropped, ...read } = await scoreModel(rows, opened, {
    model,
    adapter: adapter?.folder,
    prompt,
    tidy,
    maxNewTokens,
    secondLook,
  });
  for (const { name: image, reason } of dropped) say(`dropped ${image}: ${reason}`);
  const grades = await withBoxMatch(read.grades, 'matching boxes');
  const samples = pairs.map(({ image, images }, i) => ({ name: image, images, grade: grades[i]! }));
  const from = (look: Look): number => pairs.filter((pair) => pair.look === look).length;
  const looks = { first: from('first'), mended: from('mended'), second: from('second') };
  if (looks.first < pairs.length) say(`readings mended: ${looks.mended}, from a second look: ${looks.second}`);
  return {
    name,
    adapter,
    samples,
    scores: score(grades),
    breakdown: breakdown(grades),
    dropped: dropped.length,
    looks,
  };
}
