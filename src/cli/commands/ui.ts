// texlens ui: the dashboard, a web page that shows a folder of runs while they go on and afterwards.
import { Command } from 'commander';
import { say } from '../../shared/log.ts';
import { askedToEnd, openBrowser } from '../dashboard.ts';
import { portNumber } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags {
  runs: string;
  port?: number;
  host: string;
  token?: string;
  open?: boolean;
  json?: boolean;
}

export function command(): Command {
  return withJsonOption(new Command('ui'))
    .description('Serves the dashboard: runs, live charts, predictions, configurations, system figures and logs.')
    .option('--runs <folder>', 'the folder that holds the runs', 'runs')
    .option('--port <n>', 'the port; by default 6360, or the next free one', portNumber)
    .option('--host <address>', 'the address to listen on; any but this machine itself needs --token', '127.0.0.1')
    .option('--token <text>', 'ask every visitor for this token')
    .option('--open', 'open the page in the browser')
    .addHelpText(
      'after',
      '\nExamples:\n  texlens ui\n  texlens ui --runs experiments --open\n  texlens ui --host 0.0.0.0 --token "$(openssl rand -hex 16)"\n\nStops on Ctrl-C. With --json the address is printed as JSON at once.',
    )
    .action(async (flags: Flags) => {
      const { serve } = await import('../../server/serve.ts');
      const { runs: root, host, port, token } = flags;
      const served = await serve({ root, host, port, token });
      say(`dashboard of ${root}: ${served.url}   (Ctrl-C stops it)`);
      if (flags.json) printJson({ url: served.url, runs: root });
      if (flags.open) openBrowser(served.url);
      await askedToEnd();
      await served.close();
    });
}
