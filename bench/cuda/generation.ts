// Generation on the 2B shape: new tokens a second of a whole call, and the time to one image's first token.
import type { Backend } from '../../src/backends/contract.ts';
import { GENERATE_DEFAULTS, Generator } from '../../src/generate/generator.ts';
import type { EncodedSample } from '../../src/models/qwen2_vl/batch.ts';
import type { Qwen2VLConfig } from '../../src/models/qwen2_vl/config.ts';

export interface GenerationResult {
  readonly newTokensPerSecond: number;
  /** image bytes decoded already; pixels to first token on the host */
  readonly firstTokenMs: number;
}

export async function benchGeneration(
  backend: Backend,
  config: Qwen2VLConfig,
  samples: readonly EncodedSample[],
  { batch, newTokens, repeats }: { batch: number; newTokens: number; repeats: number },
): Promise<GenerationResult> {
  const generator = new Generator(backend, config, null, { precision: 'bf16' });
  const prompts = samples.slice(0, batch).map((sample) => ({ ...sample, ids: sample.ids.slice(0, sample.labelStart) }));
  const options = { ...GENERATE_DEFAULTS, maxNewTokens: newTokens, stopIds: [], stopOnRepetition: false };
  const whole: number[] = [];
  const first: number[] = [];
  for (let i = 0; i <= repeats; i++) {
    const started = performance.now();
    let firstAt = 0;
    await generator.generate(prompts, options, () => {
      firstAt ||= performance.now() - started;
    });
    if (i === 0) continue; // programs are compiled
    whole.push(performance.now() - started);
    first.push(firstAt);
  }
  await generator.dispose();
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number;
  return { newTokensPerSecond: (1000 * batch * newTokens) / median(whole), firstTokenMs: median(first) };
}
