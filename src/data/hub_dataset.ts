// Data sets of the hubs as sources: one subset and split, downloaded as Parquet files.
import { downloadDataset } from '../hub/dataset.ts';
import { formatRepoName, type HubName, parseRepoName } from '../hub/names.ts';
import { InputError } from '../shared/errors.ts';
import type { Source, SourceOptions } from './source.ts';
import { openParquet } from './sources/parquet.ts';

/** `path` is OWNER/NAME or OWNER/NAME@REVISION; the split is train unless told. */
export async function openHubDataset(hub: HubName, path: string, options: SourceOptions): Promise<Source> {
  const repo = parseRepoName(`${hub}:${path}`);
  const { split = 'train' } = options;
  const { subset, files, revision, declaredRows } = await downloadDataset({ ...repo, subset: options.subset, split });
  const other = files.find((file) => !/\.parquet$/i.test(file.path));
  if (other !== undefined)
    throw new InputError(
      `${formatRepoName(repo)}: subset ${subset} holds ${other.path}, which is no Parquet file; it lies in ` +
        `${other.localPath}: read it with --source archive:…, json:…, jsonl:… or folder:….`,
    );
  // Files go by their names in the repository, wherever the cache lies.
  const parquet = files.map(({ localPath, path: name }) => ({ path: localPath, name }));
  const source = await openParquet(parquet, { repository: repo.id, revision, subset, split }, options);
  return { ...source, declared: declaredRows };
}
