// Which of a repository's files a model or an adapter needs, and whether a folder has them.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../shared/errors.ts';
import { PARTIAL } from './names.ts';
import type { RemoteFile } from './repo.ts';

const INDEX = 'model.safetensors.index.json';

/** A whole model, or a LoRA adapter in peft's format. */
export type Contents = 'model' | 'adapter';

const ADAPTER = ['adapter_config.json', 'adapter_model.safetensors'];

/** Configuration, tokenizer, weights as safetensors, and the licence; nothing from folders (other formats, images). */
export function modelFiles(name: string, files: readonly RemoteFile[], contents: Contents = 'model'): RemoteFile[] {
  const top = files.filter(({ path }) => !path.includes('/'));
  if (contents === 'adapter' && !ADAPTER.every((needed) => top.some(({ path }) => path === needed)))
    throw new InputError(`${name}: expected a LoRA adapter (${ADAPTER.join(' and ')}), found ${told(files)}.`);
  // Where weights lie in the usual files, others beside them repeat those in another layout.
  const usual = top.some(({ path }) => path === INDEX || path === 'model.safetensors');
  const needed = top.filter(
    ({ path }) =>
      /\.json$/.test(path) ||
      /^(merges\.txt|vocab\.txt|.*\.(model|tiktoken|jinja)|LICEN[CS]E.*)$/i.test(path) ||
      (usual ? /^model.*\.safetensors$/ : /\.safetensors$/).test(path),
  );
  if (!needed.some(({ path }) => path.endsWith('.safetensors'))) {
    throw new InputError(
      `${name}: expected a model's weights as .safetensors files, found ${told(files)}; choose another.`,
    );
  }
  return needed;
}

const told = (files: readonly RemoteFile[]): string =>
  files
    .slice(0, 5)
    .map(({ path }) => path)
    .join(', ') || 'none at all';

/** The files that a model's or an adapter's folder lacks to be used; empty when it is complete. */
export async function missingFiles(folder: string, contents: Contents = 'model'): Promise<string[]> {
  const names = new Set(await readdir(folder).catch((): string[] => []));
  const partial = [...names].filter((name) => name.endsWith(PARTIAL)).map((name) => name.slice(0, -PARTIAL.length));
  const needed = contents === 'adapter' ? ADAPTER : ['config.json', 'tokenizer.json'];
  const missing = needed.filter((name) => !names.has(name));
  if (contents === 'model' && names.has(INDEX)) {
    const shards = await shardsOf(join(folder, INDEX));
    if (shards === undefined) missing.push(INDEX);
    for (const shard of new Set(shards)) if (!names.has(shard)) missing.push(shard);
  } else if (contents === 'model' && ![...names].some((name) => name.endsWith('.safetensors')))
    missing.push('model.safetensors');
  return [...new Set([...missing, ...partial])];
}

/** The shards that an index names; undefined where it cannot be read, cut short by whoever wrote it. */
async function shardsOf(index: string): Promise<string[] | undefined> {
  try {
    const { weight_map = {} } = JSON.parse(await readFile(index, 'utf8')) as { weight_map?: Record<string, string> };
    return Object.values(weight_map);
  } catch {
    return undefined;
  }
}
