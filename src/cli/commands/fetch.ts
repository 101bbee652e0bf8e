// texlens fetch: brings a model from ModelScope or Hugging Face, resumably and checked.
import { Command, Option } from 'commander';
import { formatBytes, say } from '../../shared/log.ts';
import { type HubFlags, withHubOptions } from '../hub_flags.ts';
import { whole } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags extends HubFlags {
  out?: string;
  cacheDir?: string;
  connections: number;
  json?: boolean;
}

export function command(): Command {
  return withJsonOption(withHubOptions(new Command('fetch')))
    .description('Brings the files that a model needs, resumes what was interrupted and checks every file.')
    .argument('<model>', 'modelscope:OWNER/NAME or hf:OWNER/NAME, with @REVISION for another branch, tag or commit')
    .addOption(new Option('--out <folder>', 'plain files in this folder').conflicts('cacheDir'))
    .option(
      '--cache-dir <folder>',
      "the hub's own layout below this folder; by default its cache, shared with its clients",
    )
    .option('--connections <n>', 'connections at once', whole, 8)
    .addHelpText(
      'after',
      `
Examples:
  texlens fetch modelscope:Qwen/Qwen2-VL-2B-Instruct --cache-dir ./     to ./Qwen/Qwen2-VL-2B-Instruct
  texlens fetch hf:Qwen/Qwen2-VL-2B-Instruct                            to the Hugging Face cache
  texlens fetch hf:Qwen/Qwen2-VL-2B-Instruct@main --out models/qwen     to a plain folder
  HF_ENDPOINT=https://hf-mirror.com texlens fetch hf:Qwen/Qwen2-VL-2B-Instruct

Environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY; HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE;
MODELSCOPE_ENDPOINT, MODELSCOPE_DOMAIN, MODELSCOPE_CACHE, MODELSCOPE_API_TOKEN.
The same command goes on where an interrupted one stopped.`,
    )
    .action(async (model: string, flags: Flags) => {
      const { fetchModel } = await import('../../hub/fetch.ts');
      const result = await fetchModel(model, { ...flags, connections: Math.max(1, flags.connections) });
      const { folder, files, bytes, downloaded, seconds } = result;
      say(`${files} files, ${formatBytes(bytes)}, ${formatBytes(downloaded)} of it fetched in ${seconds.toFixed(1)} s`);
      say(folder);
      if (flags.json) printJson(result);
    });
}
