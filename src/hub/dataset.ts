// Fetches the files of one subset of a data set, all its splits or one, from either hub.
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { InputError } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import { chooseConfig, type DatasetConfig, datasetConfigs, declaredRows, filesOfConfig } from './dataset_configs.ts';
import { type FetchOptions, isCut, rootsOf } from './fetch.ts';
import { findFolder, plainSpot, spotFor } from './layout.ts';
import { listRepo } from './listing.ts';
import { locked } from './lock.ts';
import { formatRepoName, type HubName, JOURNAL, PARTIAL, parseRepoName } from './names.ts';
import { hubSettings } from './settings.ts';
import { fetchFiles } from './transfer.ts';

export interface DatasetRequest extends Omit<FetchOptions, 'progress'> {
  readonly hub: HubName;
  /** OWNER/NAME. */
  readonly id: string;
  readonly revision?: string;
  /** By default the one that the README marks, else `default`, else the first. */
  readonly subset?: string;
  /** By default every split. `val`, `valid`, `dev` and `validation` are one. */
  readonly split?: string;
}

export interface DatasetHooks {
  /** Called with bytes as they come; a bar on stderr without it. */
  readonly progress?: (done: number, total: number) => void;
}

export interface DatasetFile {
  /** Inside the repository. */
  readonly path: string;
  readonly localPath: string;
  readonly split: string;
}

export interface DownloadedDataset {
  readonly folder: string;
  /** What was asked for, the default branch filled in. */
  readonly revision: string;
  /** The commit it stands for, where the hub says (Hugging Face). */
  readonly commit?: string;
  readonly subset: string;
  /** In the order of the splits and, in each, of the paths. */
  readonly files: readonly DatasetFile[];
  /** How many rows the README says that the split has. */
  readonly declaredRows?: number;
  /** Every subset of the repository. */
  readonly configs: readonly DatasetConfig[];
  readonly bytes: number;
  readonly downloaded: number;
}

const README = 'README.md';

export async function downloadDataset(request: DatasetRequest, hooks: DatasetHooks = {}): Promise<DownloadedDataset> {
  const { hub, id, revision, out } = request;
  const name = formatRepoName({ hub, id, revision });
  const repo = parseRepoName(name);
  const env = request.env ?? process.env;
  const settings = hubSettings(hub, request, env);
  const roots = rootsOf(request, settings.cache);
  if (settings.offline) {
    const folder = out === undefined ? await findFolder(repo, 'dataset', roots) : resolve(out);
    return offlineDataset(request, name, folder ?? join(roots.cacheDir ?? roots.cache, id));
  }
  const listing = await listRepo(repo, 'dataset', settings, { ...request, env, say });
  const paths = listing.files.map(({ path }) => path);
  const readme = listing.files.find(({ path }) => path === README);
  const text = readme && (await listing.client.text(readme.url)).text;
  const { configs, subset, chosen, declared } = choose(request, name, text, paths);
  const wanted = new Set(chosen.map(({ path }) => path));
  const files = listing.files.filter((file) => wanted.has(file.path) || file === readme);
  const spot = out === undefined ? await spotFor(repo, 'dataset', listing, roots) : plainSpot(resolve(out));
  const transferred = await locked(spot.root, spot.folder, say, () =>
    fetchFiles(repo, files, spot, listing, settings.token !== undefined, { ...request, ...hooks }),
  );
  const { folder } = spot;
  return {
    folder,
    revision: listing.revision,
    commit: listing.commit,
    subset,
    declaredRows: declared,
    configs,
    ...transferred,
    ...placed(folder, chosen),
  };
}

/** The same from what is on disk, without the network; shards that a name counts must all be there. */
async function offlineDataset(request: DatasetRequest, name: string, folder: string): Promise<DownloadedDataset> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) =>
      relative(folder, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
    .filter((path) => !path.split('/').some((part) => part.startsWith('.')) && !path.endsWith(JOURNAL))
    .sort();
  const again = 'fetch it once with a network';
  const partial = paths.find((path) => path.endsWith(PARTIAL));
  if (paths.length === 0) throw new InputError(`${name}: offline, and it is not in ${folder}; ${again}.`);
  if (await isCut(parseRepoName(name), request, folder))
    throw new InputError(`${name}: offline, and its fetch into ${folder} was not finished; ${again}.`);
  if (partial !== undefined) throw new InputError(`${name}: offline, and ${partial} is not whole; ${again}.`);
  const text = await readFile(join(folder, README), 'utf8').catch(() => undefined);
  const { configs, subset, chosen, declared } = choose(request, name, text, paths);
  for (const { path } of chosen) {
    const [, before, count, after] = /^(.*-)\d{5}-of-(\d{5})(.*)$/.exec(path) ?? [];
    for (let i = 0; i < Number(count ?? 0); i++) {
      const shard = `${before}${String(i).padStart(5, '0')}-of-${count}${after}`;
      if (!paths.includes(shard)) throw new InputError(`${name}: offline, and ${folder} lacks ${shard}; ${again}.`);
    }
  }
  const revision = request.revision ?? (request.hub === 'hf' ? 'main' : 'master');
  const { files } = placed(folder, chosen);
  let bytes = 0;
  for (const { localPath } of files) bytes += (await stat(localPath)).size;
  return { folder, revision, subset, declaredRows: declared, configs, bytes, downloaded: 0, files };
}

function choose(request: DatasetRequest, name: string, readme: string | undefined, paths: readonly string[]) {
  const configs = datasetConfigs(name, readme, paths);
  const config = chooseConfig(name, configs, request.subset);
  return {
    configs,
    subset: config.name,
    chosen: filesOfConfig(name, config, request.split, paths),
    declared: declaredRows(name, readme, config.name, request.split),
  };
}

function placed(folder: string, chosen: readonly { path: string; split: string }[]): { files: DatasetFile[] } {
  return { files: chosen.map(({ path, split }) => ({ path, split, localPath: join(folder, ...path.split('/')) })) };
}
