// texlens train: fine-tunes a model as a YAML run configuration says.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { openBackend } from '../../backends/open.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import type { ExportSettings } from '../../tracker/export/contract.ts';
import { refuseRunning } from '../../tracker/run.ts';
import { refuseCheckpoints } from '../../train/checkpoint.ts';
import { runTraining } from '../../train/run.ts';
import { parseRunConfig } from '../../train/run_config.ts';
import { startDashboard } from '../dashboard.ts';
import { type HubFlags, modelFolder, withHubOptions } from '../hub_flags.ts';
import { count } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';
import { overridesFrom, withRunConfigOptions } from '../run_flags.ts';

interface Flags extends ExportSettings, HubFlags {
  resume?: boolean;
  threads?: number;
  ui?: boolean;
  overwrite?: boolean;
  json?: boolean;
}

/** Recipes of the package; the same from src/cli/commands and from dist/cli/commands. */
const RECIPES = fileURLToPath(new URL('../../../recipes', import.meta.url));

export function command(): Command {
  return withJsonOption(withHubOptions(withRunConfigOptions(new Command('train'))))
    .description('Fine-tunes a model as a YAML run configuration says; flags override its keys.')
    .argument('<config>', 'the run configuration, such as recipes/latex-ocr.yaml')
    .option('--resume', 'go on from the newest checkpoint of the output folder')
    .addOption(
      new Option('--overwrite', 'delete the checkpoints that the output folder holds, and start anew').conflicts(
        'resume',
      ),
    )
    .option('--threads <n>', 'CPU threads; by default one a core', count)
    .option('--ui', 'serve the dashboard while the run goes on (texlens ui, in a process of its own)')
    .option('--swanlab-key <key>', 'API key for --track swanlab-cloud; else SWANLAB_API_KEY or its netrc')
    .option('--swanlab-host <address>', 'a self-hosted SwanLab; else SWANLAB_API_HOST, its netrc or the cloud')
    .option('--swanlab-logdir <folder>', 'where --track swanlab writes; else SWANLAB_LOGDIR or swanlog/ in the output')
    .addHelpText(
      'after',
      '\nExamples:\n  texlens train recipes/latex-ocr.yaml\n  texlens train recipes/latex-ocr.yaml --lr 5e-5 --set lora.r=16 --output runs/r16\n  texlens train recipes/latex-ocr.yaml --resume\n  texlens train recipes/latex-ocr.yaml --ui\n  texlens train recipes/latex-ocr.yaml --track swanlab --track tensorboard',
    )
    .action(async (file: string, flags: Flags, self: Command) => {
      const text = await readFile(file, 'utf8').catch((error: unknown) => {
        const own = join(RECIPES, basename(file));
        const next = existsSync(own) ? ` The one that comes with texlens is ${own}.` : '';
        throw new InputError(
          `${file}: cannot be read (${messageOf(error)}); expected a YAML run configuration.${next}`,
        );
      });
      const config = parseRunConfig(text, file, overridesFrom(self));
      // Before anything is touched there.
      await refuseRunning(config.output);
      if (!flags.resume && !flags.overwrite) await refuseCheckpoints(config.output);
      config.model = await modelFolder(config.model, flags);
      const opened = await openBackend({ device: config.device, dtype: config.train.dtype, threads: flags.threads });
      const stop = flags.ui ? startDashboard(dirname(config.output)) : undefined;
      const result = await runTraining(config, opened, flags.resume === true, flags).finally(stop);
      say(`done: ${result.steps} steps, ${result.output}`);
      if (flags.json) printJson(result);
    });
}
