// A model or an adapter by its name: a folder as it is, a hub's as the folder that it was or now is fetched to.
import { stat } from 'node:fs/promises';
import { InputError } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import { type FetchOptions, fetchModel, findModel } from './fetch.ts';
import { isRepoName, parseRepoName } from './names.ts';
import { hubSettings } from './settings.ts';

/** The folder of a LoRA adapter, in the same way as that of a model. */
export function resolveAdapter(name: string, options: FetchOptions = {}): Promise<string> {
  return resolveModel(name, { ...options, contents: 'adapter' });
}

/** The folder of a model; a hub is asked only when the model is not there complete. */
export async function resolveModel(name: string, options: FetchOptions = {}): Promise<string> {
  if (!isRepoName(name)) {
    if (/^[\w.-]+\/[\w.-]+$/.test(name) && !(await stat(name).catch(() => undefined)))
      throw new InputError(
        `${name}: no such folder; for ${options.contents === 'adapter' ? 'an adapter' : 'a model'} of a hub write modelscope:${name} or hf:${name}.`,
      );
    return name;
  }
  const repo = parseRepoName(name);
  const { cache, offline } = hubSettings(repo.hub, options, options.env ?? process.env);
  if (!offline) {
    const found = await findModel(repo, options, cache);
    if ('folder' in found) {
      say(`${name} is in ${found.folder}`);
      return found.folder;
    }
  }
  return (await fetchModel(name, options)).folder;
}
