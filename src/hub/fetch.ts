// Fetches a model's files from a hub: `texlens fetch`, and the first use of a model by its name.
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InputError } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import { findFolder, plainSpot, type Roots, spotFor } from './layout.ts';
import { listRepo } from './listing.ts';
import { isUnfinished, locked } from './lock.ts';
import { formatRepoName, parseRepoName, type RepoName } from './names.ts';
import { type Contents, missingFiles, modelFiles } from './select.ts';
import { type Environment, hubSettings, type SettingsOptions } from './settings.ts';
import { fetchFiles, type TransferOptions } from './transfer.ts';

export interface FetchOptions extends SettingsOptions, TransferOptions {
  /** A model unless told. */
  readonly contents?: Contents;
  /** A folder for the plain files, in place of the hub's cache. */
  readonly out?: string;
  /** Another root for the hub's layout. */
  readonly cacheDir?: string;
  readonly env?: Environment;
  readonly signal?: AbortSignal;
  /** The first wait before another try. */
  readonly backoffMs?: number;
  /** How long a connection may stay silent. */
  readonly silenceMs?: number;
}

export interface FetchResult {
  readonly folder: string;
  readonly files: number;
  /** Size of all the files. */
  readonly bytes: number;
  /** Bytes that came over the network. */
  readonly downloaded: number;
  readonly seconds: number;
}

/** Brings a model's folder up to date and checks every file; offline, says whether it is complete. */
export async function fetchModel(name: string, options: FetchOptions = {}): Promise<FetchResult> {
  const started = performance.now();
  const seconds = (): number => Math.round(performance.now() - started) / 1000;
  const repo = parseRepoName(name);
  const env = options.env ?? process.env;
  const settings = hubSettings(repo.hub, options, env);
  if (settings.offline) {
    const folder = await cachedModel(repo, options, env);
    const { files, bytes } = await measure(folder);
    return { folder, files, bytes, downloaded: 0, seconds: seconds() };
  }
  const roots = rootsOf(options, settings.cache);
  const listing = await listRepo(repo, 'model', settings, { ...options, env, say });
  const files = modelFiles(formatRepoName(repo), listing.files, options.contents);
  const spot =
    options.out === undefined ? await spotFor(repo, 'model', listing, roots) : plainSpot(resolve(options.out));
  const { bytes, downloaded } = await locked(spot.root, spot.folder, say, () =>
    fetchFiles(repo, files, spot, listing, settings.token !== undefined, options),
  );
  return { folder: spot.folder, files: files.length, bytes, downloaded, seconds: seconds() };
}

/** The folder of a model that is there already, complete; an InputError that says what is missing otherwise. */
async function cachedModel(repo: RepoName, options: FetchOptions, env: Environment): Promise<string> {
  const { cache } = hubSettings(repo.hub, options, env);
  const found = await findModel(repo, options, cache);
  if ('folder' in found) return found.folder;
  throw new InputError(
    `${formatRepoName(repo)}: offline, and ${found.missing}; fetch it once with a network: texlens fetch ${formatRepoName(repo)}`,
  );
}

/** A model's complete folder on disk, or what is missing. */
export async function findModel(
  repo: RepoName,
  options: FetchOptions,
  cache: string,
): Promise<{ folder: string } | { missing: string }> {
  const roots = rootsOf(options, cache);
  const folder = options.out === undefined ? await findFolder(repo, 'model', roots) : resolve(options.out);
  if (folder === undefined) return { missing: `it is not in ${roots.cacheDir ?? roots.cache}` };
  if (await isCut(repo, options, folder)) return { missing: `its fetch into ${folder} was not finished` };
  const missing = await missingFiles(folder, options.contents);
  return missing.length === 0 ? { folder } : { missing: `${folder} lacks ${missing.join(', ')}` };
}

/** Whether a fetch into a repository's folder was begun and not finished. */
export function isCut({ hub }: RepoName, { out }: FetchOptions, folder: string): Promise<boolean> {
  const root = hub === 'hf' && out === undefined ? join(folder, '..', '..') : folder;
  return isUnfinished(root, folder);
}

export function rootsOf({ cacheDir }: FetchOptions, cache: string): Roots {
  return { cache, cacheDir: cacheDir === undefined ? undefined : resolve(cacheDir) };
}

/** The number and size of the files that a fetch would have brought. */
async function measure(folder: string): Promise<{ files: number; bytes: number }> {
  const names = await readdir(folder);
  const files = modelFiles(
    folder,
    names.map((path) => ({ path, url: '' })),
  );
  let bytes = 0;
  for (const { path } of files) bytes += (await stat(join(folder, path))).size;
  return { files: files.length, bytes };
}
