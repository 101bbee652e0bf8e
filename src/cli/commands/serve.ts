// texlens serve: keeps a model loaded and reads formula images over HTTP, with a page for people.
import { Command } from 'commander';
import { resolveAdapter } from '../../hub/resolve.ts';
import { MODEL_HELP, NO_TIDY_HELP, TIDY_HELP } from '../../models/qwen2_vl/session.ts';
import { checkAccess } from '../../server/guard.ts';
import { say } from '../../shared/log.ts';
import { NO_SECOND_LOOK_HELP, SECOND_LOOK_HELP } from '../../train/second_look.ts';
import { askedToEnd, openBrowser } from '../dashboard.ts';
import { type DeviceFlags, withReadingDeviceOptions } from '../device_flags.ts';
import { modelFolder, withOfflineOption } from '../hub_flags.ts';
import { count, portNumber, upTo64 } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags extends DeviceFlags {
  model?: string;
  adapter?: string;
  prompt?: string;
  tidy?: boolean;
  secondLook?: number | false;
  offline?: boolean;
  batch: number;
  queue: number;
  maxNewTokens: number;
  port?: number;
  host: string;
  token?: string;
  open?: boolean;
  json?: boolean;
}

/** What clients call the bundled model. */
const BUNDLED = 'texlens-base';

const EXAMPLES = `
Examples:
  texlens serve --open                                     the page, in the browser
  texlens serve --adapter runs/hand/adapter --device cpu
  texlens serve --host 0.0.0.0 --token "$(openssl rand -hex 16)"

  curl --data-binary @formula.png localhost:6370/api/read  {"latex": …, "confidence": …}
  OpenAI(base_url="http://localhost:6370/v1", api_key=…)   for clients that speak to OpenAI; the key is the token, if any

Stops on Ctrl-C, when what was asked is answered; a second one ends at once. With --json the address is printed as JSON
when the model is ready. Gated models are fetched with HF_TOKEN or MODELSCOPE_API_TOKEN. The API: docs/serving.md.`;

export function command(): Command {
  return withReadingDeviceOptions(withOfflineOption(withJsonOption(new Command('serve'))))
    .description('Keeps a model loaded and reads formula images over HTTP: a page for people, and an API as OpenAI’s.')
    .option('--model <model>', MODEL_HELP)
    .option('--adapter <adapter>', 'a LoRA adapter for it: a folder, or HUB:OWNER/NAME')
    .option(
      '--prompt <text>',
      'the instruction where a request has none, and texts in chats are heard; by default that of the training',
    )
    .option('--tidy', TIDY_HELP)
    .option('--no-tidy', NO_TIDY_HELP)
    .option('--second-look <n>', SECOND_LOOK_HELP, upTo64)
    .option('--no-second-look', NO_SECOND_LOOK_HELP)
    .option('--batch <n>', 'images at once', count, 8)
    .option('--queue <n>', 'images that may wait; more are turned away for the moment', count, 64)
    .option('--max-new-tokens <n>', 'tokens of an answer at most', count, 256)
    .option('--port <n>', 'the port; by default 6370, or the next free one', portNumber)
    .option('--host <address>', 'the address to listen on; any but this machine itself needs --token', '127.0.0.1')
    .option('--token <text>', 'ask every visitor for this token')
    .option('--open', 'open the page in the browser')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      const hub = { offline: flags.offline }; // not the token, which is this server's own
      const { device, dtype, threads, prompt, tidy, secondLook, host, port, token, batch, maxNewTokens } = flags;
      const name = flags.adapter ?? flags.model ?? BUNDLED;
      checkAccess({ host, token }); // before anything is fetched
      const { serveModel } = await import('../../server/reading/serve.ts');
      const served = await serveModel({
        reader: {
          ...{ device, dtype, threads, prompt, tidy, secondLook },
          model: flags.model && (await modelFolder(flags.model, hub)),
          adapter: flags.adapter && (await resolveAdapter(flags.adapter, hub)),
        },
        settings: {
          name,
          model: flags.model ?? (flags.adapter ? 'the base of the adapter' : BUNDLED),
          adapter: flags.adapter,
          maxNewTokens,
        },
        ...{ host, port, token, batch, most: flags.queue },
      });
      const { url, queue } = served;
      say(`${name} is ready: ${url}   (Ctrl-C stops it)`);
      if (flags.json) printJson({ url, device: queue.engine.device });
      if (flags.open) openBrowser(url);
      await askedToEnd();
      const { waiting, reading } = queue.length;
      if (waiting + reading > 0) say(`answering ${waiting + reading} more; Ctrl-C again ends at once`);
      await served.close();
    });
}
