// Names of repositories (`modelscope:OWNER/NAME@REVISION`, `hf:…`) and of the files that a hub lists in them.
import { InputError, RunError } from '../shared/errors.ts';

export type HubName = 'modelscope' | 'hf';

export interface RepoName {
  readonly hub: HubName;
  /** OWNER/NAME; a few old repositories of Hugging Face have no owner. */
  readonly id: string;
  /** Branch, tag or commit; undefined is the hub's default branch. */
  readonly revision?: string;
}

const EXAMPLE = 'such as modelscope:Qwen/Qwen2-VL-2B-Instruct or hf:Qwen/Qwen2-VL-2B-Instruct@main';

/** True for `HUB:…`, which is then no folder. One letter before the colon is a Windows drive. */
export function isRepoName(text: string): boolean {
  return /^(modelscope|hf):/.test(text);
}

export function parseRepoName(text: string): RepoName {
  const found = /^(modelscope|hf):([^@]*)(?:@(.*))?$/.exec(text);
  if (found === null) throw new InputError(`${text}: expected HUB:OWNER/NAME, ${EXAMPLE}.`);
  const [, hub, id = '', revision] = found;
  const part = /^[A-Za-z0-9_][\w.-]*$/;
  const parts = id.split('/');
  const owned = parts.length === 2 || (hub === 'hf' && parts.length === 1);
  if (!owned || !parts.every((name) => part.test(name)) || /\.\.|--/.test(id))
    throw new InputError(`${text}: expected OWNER/NAME after ${hub}:, got "${id}"; ${EXAMPLE}.`);
  if (revision !== undefined && pathFault(revision) !== undefined)
    throw new InputError(`${text}: expected a branch, tag or commit after @, got "${revision}".`);
  return { hub: hub as HubName, id, revision };
}

export function formatRepoName({ hub, id, revision }: RepoName): string {
  return `${hub}:${id}${revision === undefined ? '' : `@${revision}`}`;
}

/** What a download in progress adds to a file's name; no file of a hub may end so. */
export const PARTIAL = '.texlens-part';
export const JOURNAL = '.texlens-journal';

const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)/i;

/** Why a path from a hub must not be written on any system; undefined when it may. */
export function pathFault(path: string): string | undefined {
  if (path === '' || path.length > 1024) return 'is empty or too long';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'holds control characters';
  if (path.includes('\\')) return 'holds a backslash';
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return 'is absolute';
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..') return 'leaves its folder or holds an empty part';
    if (DEVICE.test(part)) return 'names a device of Windows';
    if (/[. ]$/.test(part)) return 'holds a part that ends in a dot or a space';
  }
  if (path.endsWith(PARTIAL) || path.endsWith(JOURNAL)) return 'is one of the names that a download in progress takes';
  return undefined;
}

/** Refuses a whole listing for one path that must not be written. */
export function checkPaths(repo: string, paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    const fault = seen.has(path) ? 'is listed twice' : pathFault(path);
    if (fault !== undefined)
      throw new RunError(
        `${repo}: the hub lists the file ${JSON.stringify(path)}, which ${fault}; nothing was fetched.`,
      );
    seen.add(path);
  }
}

/** A path or revision for a URL, its slashes kept. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
