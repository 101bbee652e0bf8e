// The flags of every command that may reach a hub, and the folder of the model that one names.
import type { Command } from 'commander';
import { resolveModel } from '../hub/resolve.ts';
import { orBundled } from '../models/bundled.ts';

export interface HubFlags {
  token?: string;
  offline?: boolean;
}

export function withOfflineOption(command: Command): Command {
  return command.option('--offline', 'use what was fetched before, never the network (or HF_HUB_OFFLINE=1)');
}

export function withHubOptions(command: Command): Command {
  return withOfflineOption(command).option(
    '--token <token>',
    'for private and gated repositories (or HF_TOKEN, MODELSCOPE_API_TOKEN)',
  );
}

/** The folder of a model: a hub's as it is fetched to, a folder as it is. */
export const modelFolder = async (name: string, flags: HubFlags): Promise<string> =>
  resolveModel(orBundled(name), flags);
