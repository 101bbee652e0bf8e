// texlens eval: scores a model, with or without an adapter, on a conversation JSON.
import { Command } from 'commander';
import { openBackend } from '../../backends/open.ts';
import { readConversations } from '../../data/conversation.ts';
import { resolveModel } from '../../hub/resolve.ts';
import { MODEL_HELP } from '../../models/qwen2_vl/session.ts';
import { say } from '../../shared/log.ts';
import { scoreModel } from '../../train/score.ts';
import { type DeviceFlags, withDeviceOptions } from '../device_flags.ts';
import { type HubFlags, withHubOptions } from '../hub_flags.ts';
import { whole } from '../numbers.ts';
import { printJson, sayTable, withJsonOption } from '../output.ts';

interface Flags extends DeviceFlags, HubFlags {
  model?: string;
  adapter?: string;
  data: string;
  count?: number;
  maxNewTokens: number;
  prompt?: string;
  show: number;
  json?: boolean;
}

export function command(): Command {
  return withDeviceOptions(withHubOptions(withJsonOption(new Command('eval'))))
    .description('Scores a model on labelled images: exact match, edit distance, BLEU.')
    .option('--model <model>', MODEL_HELP)
    .requiredOption('--data <file>', 'a conversation JSON')
    .option('--adapter <folder>', 'a LoRA adapter for it')
    .option('--count <n>', 'only the first n samples', whole)
    .option('--max-new-tokens <n>', 'tokens to write at most', whole, 256)
    .option('--prompt <text>', 'the instruction beside the image')
    .option('--show <n>', 'predictions to print beside their truths', whole, 4)
    .addHelpText(
      'after',
      '\nExamples:\n  texlens eval --data data/val.json --json\n  texlens eval --model Qwen2-VL-2B-Instruct --adapter runs/a/adapter --data data/val.json',
    )
    .action(async (flags: Flags) => {
      const rows = (await readConversations(flags.data)).slice(0, flags.count);
      const { backend, precision } = await openBackend(flags);
      const model = flags.model && (await resolveModel(flags.model, flags));
      const { pairs, scores, dropped } = await scoreModel(rows, { backend, precision }, { ...flags, model });
      for (const { name, reason } of dropped) say(`dropped ${name}: ${reason}`);
      for (const { truth, prediction } of pairs.slice(0, flags.show))
        say(`\ntruth      ${truth}\nprediction ${prediction}`);
      const { definitions, ...numbers } = scores;
      say();
      sayTable(Object.entries(numbers).map(([name, value]) => [name, String(value)]));
      if (flags.json) printJson({ ...numbers, dropped: dropped.length, definitions });
    });
}
