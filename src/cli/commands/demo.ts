// texlens demo: teaches the bundled model one person's handwriting and shows its scores before and after.
import { Command } from 'commander';
import { type DeviceFlags, withDeviceOptions } from '../device_flags.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags extends DeviceFlags {
  out: string;
  quick?: boolean;
  json?: boolean;
}

export function command(): Command {
  return withDeviceOptions(withJsonOption(new Command('demo')))
    .description(
      'Teaches the bundled model one person’s handwriting: data, score, LoRA fine-tuning, score again, in a few minutes.',
    )
    .option('--out <folder>', 'where everything goes', 'texlens-demo')
    .option('--quick', 'fewer formulas and steps: half a minute, to see that all of it works')
    .addHelpText('after', '\nExamples:\n  texlens demo\n  texlens demo --quick --out /tmp/demo --json')
    .action(async ({ out, quick, json, ...device }: Flags) => {
      const { openBackend } = await import('../../backends/open.ts');
      const { DEMO, QUICK, runDemo } = await import('../../demo/demo.ts');
      const report = await runDemo({ ...(quick ? QUICK : DEMO), out }, await openBackend(device));
      if (json) printJson(report);
    });
}
