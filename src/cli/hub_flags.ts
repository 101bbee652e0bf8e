// The flags of every command that may reach a hub.
import type { Command } from 'commander';

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
