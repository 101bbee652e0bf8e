// Reads a published snapshot's weights into a backend, tensor after tensor, under either key layout.
import type { Backend } from '../../backends/contract.ts';
import { openSnapshot } from '../../formats/safetensors.ts';
import type { HostArray, Precision } from '../../graph/types.ts';
import { InputError } from '../../shared/errors.ts';
import type { Qwen2VLConfig } from './config.ts';
import { fitTensors, likelyMistake, misfit } from './fit.ts';
import { type Parameter, parameters } from './parameters.ts';

/** Tensors that are read while those before them go to the backend. */
const AHEAD = 8;

/**
 * Streams every parameter into the backend as a state of the dtype asked for; beside the model a few tensors are held.
 * Missing, unexpected and misshapen tensors are one InputError that sums them up, before anything is read.
 */
export async function loadWeights(
  folder: string,
  config: Qwen2VLConfig,
  backend: Backend,
  storedAs: (name: string) => Precision = () => 'f32',
): Promise<void> {
  const snapshot = await openSnapshot(folder);
  try {
    const wanted = parameters(config);
    const fit = fitTensors(wanted, snapshot.names, (key) => snapshot.info(key).shape, {
      // A tied head that is stored all the same repeats the embedding.
      spare: (name) => name === 'lm_head.weight' && config.tieWordEmbeddings,
    });
    const faults = misfit(fit);
    if (faults !== null)
      throw new InputError(
        `${folder}: the weights do not match config.json, which asks for ${wanted.length} tensors:${faults}\n` +
          `Most likely ${likelyMistake(fit)}. Check that config.json and the safetensors files belong to the same Qwen2-VL snapshot.`,
      );
    const begin = ({ name }: Parameter): Promise<HostArray> => {
      const key = fit.keys.get(name)!;
      const data = storedAs(name) === 'f32' ? snapshot.read(key) : snapshot.readBf16(key);
      // Awaited in its turn; one before may fail first.
      data.catch(() => {});
      return data;
    };
    const begun = wanted.slice(0, AHEAD).map(begin);
    for (const [i, { name, shape }] of wanted.entries()) {
      const data = await (begun.shift() as Promise<HostArray>);
      const next = wanted[i + AHEAD];
      if (next) begun.push(begin(next));
      backend.setState(name, { dtype: storedAs(name), shape }, data);
    }
  } finally {
    await snapshot.close();
  }
}
