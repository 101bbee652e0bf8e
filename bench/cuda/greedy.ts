// Greedy decoding of prompts on a backend, and how long it writes what another implementation wrote.
import type { Backend } from '../../src/backends/contract.ts';
import { GENERATE_DEFAULTS, Generator } from '../../src/generate/generator.ts';
import type { Precision } from '../../src/graph/types.ts';
import { loadAdapter } from '../../src/models/qwen2_vl/adapter.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';
import { promptOf } from '../../src/train/dataset.ts';

/** Ids after each prompt, with the adapter of the folder; no token ends them. */
export async function greedyIds(
  backend: Backend,
  config: Qwen2VLConfig,
  adapter: string,
  samples: readonly EncodedSample[],
  maxNewTokens: number,
  precision: Precision,
): Promise<number[][]> {
  const generator = new Generator(backend, config, await loadAdapter(adapter, config, backend), { precision });
  const options = { ...GENERATE_DEFAULTS, maxNewTokens, stopIds: [], stopOnRepetition: false };
  const written = await generator.generate(samples.map(promptOf), options);
  await generator.dispose();
  return written.map(({ ids }) => ids);
}

/** Tokens of each until the first that differs. */
export const agreement = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[] =>
  a.map((ids, i) => {
    const first = ids.findIndex((id, n) => id !== b[i]?.[n]);
    return first < 0 ? ids.length : first;
  });
