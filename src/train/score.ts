// Reads labelled images with a model, with or without an adapter, and scores what it wrote.
import type { OpenedBackend } from '../backends/open.ts';
import type { Conversation } from '../data/conversation.ts';
import { type Grade, grade, type Pair, type Scores, score } from '../eval/metrics.ts';
import { Generator, usualOptions } from '../generate/generator.ts';
import { READ_AT_ONCE, readAll } from '../generate/read.ts';
import type { Look, ReadOptions } from '../generate/second_look.ts';
import { loadModel } from '../models/qwen2_vl/session.ts';
import { say } from '../shared/log.ts';
import { DEFAULT_PROMPT, type Dropped, encodeRows, promptOf } from './dataset.ts';
import { secondLookOf } from './second_look.ts';

export interface ScoreOptions {
  readonly model?: string;
  readonly adapter?: string;
  readonly prompt?: string;
  readonly tidy?: boolean;
  readonly maxNewTokens: number;
  /** as `secondLookOf` takes it */
  readonly secondLook?: number | false;
}

export interface Scored {
  /** in the order of the rows, without the dropped ones */
  readonly pairs: readonly (Pair & {
    readonly image: string;
    readonly images: readonly string[];
    readonly look: Look;
  })[];
  /** of the pairs, in the same order */
  readonly grades: readonly Grade[];
  readonly scores: Scores;
  readonly dropped: readonly Dropped[];
}

export async function scoreModel(
  rows: readonly Conversation[],
  { backend, precision }: OpenedBackend,
  { model: folder, adapter, prompt, tidy, maxNewTokens, secondLook }: ScoreOptions,
): Promise<Scored> {
  const model = await loadModel(folder, adapter, backend, { prompt, tidy, fallbackPrompt: DEFAULT_PROMPT, precision });
  const { processor } = model;
  const { samples, labels, images, dropped } = await encodeRows(rows, processor, model, 'reading');
  const generator = new Generator(backend, processor.config, null, { precision });
  const { tokenizer } = processor;
  const options: ReadOptions = {
    ...usualOptions(processor),
    maxNewTokens,
    batchSize: READ_AT_ONCE,
    secondLook: secondLookOf(secondLook, tokenizer),
  };
  const readings = await readAll(generator, tokenizer, samples.map(promptOf), options, 'generating');
  await generator.dispose();
  for (const [i, { stop }] of readings.entries())
    if (stop === 'blank') say(`${samples[i]!.name}: blank, and read as nothing; its label is ${labels[i]}`);
  const pairs = readings.map(({ text, look }, i) => ({
    image: samples[i]!.name,
    images: images[i]!,
    truth: labels[i] as string,
    prediction: text,
    look,
  }));
  const grades = pairs.map(grade);
  return { pairs, grades, scores: score(grades), dropped };
}
