// Reads a published snapshot's weights into a backend, one tensor at a time, under either key layout.
import type { Backend } from '../../backends/contract.ts';
import { openSnapshot } from '../../formats/safetensors.ts';
import type { Precision } from '../../graph/types.ts';
import { sameShape } from '../../graph/types.ts';
import { InputError } from '../../shared/errors.ts';
import type { Qwen2VLConfig } from './config.ts';
import { hubName, parameters } from './parameters.ts';

/**
 * Streams every parameter into the backend as a state of the dtype asked for; beside the model only one tensor is held.
 * Missing, unexpected and misshapen tensors are one InputError that lists them all, before anything is read.
 */
export async function loadWeights(
  folder: string,
  config: Qwen2VLConfig,
  backend: Backend,
  storedAs: (name: string) => Precision = () => 'f32',
): Promise<void> {
  const snapshot = await openSnapshot(folder);
  try {
    const keys = new Map(snapshot.names.map((key) => [hubName(key), key]));
    const wanted = parameters(config);
    const faults: string[] = [];
    for (const { name, shape } of wanted) {
      const key = keys.get(name);
      if (key === undefined) faults.push(`missing: ${name} [${shape.join(', ')}]`);
      else {
        const found = snapshot.info(key).shape;
        if (!sameShape(found, shape))
          faults.push(`misshapen: ${key} is [${found.join(', ')}], expected [${shape.join(', ')}]`);
      }
    }
    const known = new Set(wanted.map((p) => p.name));
    for (const [name, key] of keys) {
      // A tied head that is stored all the same repeats the embedding.
      const tiedHead = name === 'lm_head.weight' && config.tieWordEmbeddings;
      if (!known.has(name) && !tiedHead) faults.push(`unexpected: ${key}`);
    }
    if (faults.length > 0)
      throw new InputError(
        `${folder}: the weights do not match config.json (${faults.length} faults):\n  ${faults.join('\n  ')}\n` +
          'Check that config.json and the safetensors files belong to the same Qwen2-VL snapshot.',
      );
    for (const { name, shape } of wanted) {
      const key = keys.get(name) as string;
      const dtype = storedAs(name);
      backend.setState(name, { dtype, shape }, await (dtype === 'f32' ? snapshot.read(key) : snapshot.readBf16(key)));
    }
  } finally {
    await snapshot.close();
  }
}
