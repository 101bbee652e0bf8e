// Writes a backend's weights as a snapshot folder under the hub's names, with the files beside them that a model needs.
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backend } from '../../backends/contract.ts';
import { toFloat32 } from '../../formats/half.ts';
import { type StoredType, writeSafetensors } from '../../formats/safetensors.ts';
import type { Qwen2VLConfig } from './config.ts';
import { parameters } from './parameters.ts';

/** Everything a snapshot holds but its weights. */
const isSidecar = (name: string): boolean =>
  /\.(json|jinja|txt)$/.test(name) && name !== 'model.safetensors.index.json';

export async function saveModel(
  folder: string,
  base: string,
  config: Qwen2VLConfig,
  backend: Backend,
  dtype: StoredType,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(base)) if (isSidecar(name)) await copyFile(join(base, name), join(folder, name));
  const tensors = new Map(
    parameters(config).map(({ name, shape }) => {
      const { type, data } = backend.getState(name);
      return [name, { shape, data: toFloat32(type.dtype as 'f32' | 'bf16', data as Float32Array | Uint16Array) }];
    }),
  );
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { dtype, metadata: { format: 'pt' } });
}
