// Where a hub is, who asks and where its files are kept: the environment variables that the hubs' own clients read.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { InputError } from '../shared/errors.ts';
import type { HubName } from './names.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings {
  /** Base of every address, without a slash at its end. */
  readonly endpoint: string;
  /** Asked, without the token, when the endpoint has no such repository and the user chose none. */
  readonly fallback?: string;
  readonly token?: string;
  /** Root of the hub's cache. */
  readonly cache: string;
  readonly offline: boolean;
}

export interface SettingsOptions {
  readonly token?: string;
  readonly offline?: boolean;
}

export function hubSettings(hub: HubName, options: SettingsOptions, env: Environment): HubSettings {
  const settings = hub === 'hf' ? huggingFace(env) : modelScope(env);
  const offline = options.offline === true || isOn(env.HF_HUB_OFFLINE);
  const token = given(options.token) ?? settings.token;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they would end the header
  if (token !== undefined && /[\u0000-\u0020\u007f-\uffff]/.test(token))
    throw new InputError(`the token of ${hub} holds blanks or control characters; expected it as the hub shows it.`);
  return { ...settings, token, offline };
}

function huggingFace(env: Environment): Omit<HubSettings, 'offline'> {
  const home = given(env.HF_HOME) ?? join(given(env.XDG_CACHE_HOME) ?? join(homedir(), '.cache'), 'huggingface');
  return {
    endpoint: address('HF_ENDPOINT', given(env.HF_ENDPOINT) ?? 'https://huggingface.co'),
    token: given(env.HF_TOKEN) ?? tokenFile(given(env.HF_TOKEN_PATH) ?? join(folder(home), 'token')),
    cache: folder(given(env.HF_HUB_CACHE) ?? join(folder(home), 'hub')),
  };
}

function modelScope(env: Environment): Omit<HubSettings, 'offline'> {
  const domain = given(env.MODELSCOPE_DOMAIN);
  const chosen = given(env.MODELSCOPE_ENDPOINT) ?? (domain && (domain.includes('://') ? domain : `https://${domain}`));
  return {
    endpoint: address('MODELSCOPE_ENDPOINT', chosen ?? 'https://www.modelscope.cn'),
    fallback: chosen === undefined ? 'https://www.modelscope.ai' : undefined,
    token: given(env.MODELSCOPE_API_TOKEN),
    cache: folder(given(env.MODELSCOPE_CACHE) ?? join(homedir(), '.cache', 'modelscope', 'hub')),
  };
}

/** Blank means not given. */
function given(value: string | undefined): string | undefined {
  return value?.trim() || undefined;
}

function isOn(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value?.trim() ?? '');
}

function folder(path: string): string {
  return resolve(path.replace(/^~(?=$|[/\\])/, homedir()));
}

function tokenFile(path: string): string | undefined {
  try {
    return given(readFileSync(folder(path), 'utf8'));
  } catch {
    return undefined; // Not logged in.
  }
}

function address(variable: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new InputError(`${variable}=${text}: expected an address, such as https://hf-mirror.com.`);
  return text.replace(/\/+$/, '');
}
