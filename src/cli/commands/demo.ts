// texlens demo: teaches the bundled model handwritten sums and shows its scores before and after.
import { Command } from 'commander';
import { printJson, withJsonOption } from '../output.ts';
import { whole } from './prepare.ts';

interface Flags {
  out: string;
  quick?: boolean;
  threads?: number;
  json?: boolean;
}

export function command(): Command {
  return withJsonOption(new Command('demo'))
    .description(
      'Teaches the bundled model handwritten sums: data, score, LoRA fine-tuning, score again, in a few minutes.',
    )
    .option('--out <folder>', 'where everything goes', 'texlens-demo')
    .option('--quick', 'fewer formulas and steps: half a minute, to see that all of it works')
    .option('--threads <n>', 'CPU threads; by default one a core', whole)
    .addHelpText('after', '\nExamples:\n  texlens demo\n  texlens demo --quick --out /tmp/demo --json')
    .action(async ({ out, quick, threads, json }: Flags) => {
      const { createOnnxBackend } = await import('../../backends/onnx/index.ts');
      const { DEMO, QUICK, runDemo } = await import('../../demo/demo.ts');
      const report = await runDemo({ ...(quick ? QUICK : DEMO), out }, await createOnnxBackend({ threads }));
      if (json) printJson(report);
    });
}
