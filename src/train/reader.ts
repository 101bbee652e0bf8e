// A model opened to read formula images: its backend, weights and generator, and how its words are written for people.
import { type OpenOptions, openBackend } from '../backends/open.ts';
import { compactLatex } from '../eval/compact.ts';
import { type GenerateOptions, Generator, usualOptions } from '../generate/generator.ts';
import type { SecondLook } from '../generate/second_look.ts';
import { type LoadedModel, loadModel } from '../models/qwen2_vl/session.ts';
import { DEFAULT_PROMPT } from './dataset.ts';
import { secondLookOf } from './second_look.ts';

/** The model's own words, or those of people: see eval/compact.ts. */
export const SPELLINGS = ['as-written', 'compact'] as const;
export type Spelling = (typeof SPELLINGS)[number];

export interface ReaderOptions extends OpenOptions {
  /** a folder; by default the base of the adapter, else the bundled model */
  readonly model?: string;
  readonly adapter?: string;
  /** by default that of the training */
  readonly prompt?: string;
  readonly tidy?: boolean;
  /** as the flags of that name say */
  readonly secondLook?: number | false;
}

export interface Reader {
  readonly device: 'cpu' | 'cuda';
  readonly model: LoadedModel;
  readonly generator: Generator;
  /** greedy, with what the model says of stopping and repetition */
  readonly defaults: GenerateOptions;
  readonly secondLook: SecondLook | undefined;
  /** by default compact where the model's tokenizer puts spaces between words */
  spell(text: string, spelling?: Spelling): string;
}

export async function openReader(options: ReaderOptions): Promise<Reader> {
  const { model: folder, adapter, prompt, tidy } = options;
  const { backend, precision } = await openBackend(options);
  const model = await loadModel(folder, adapter, backend, { prompt, tidy, fallbackPrompt: DEFAULT_PROMPT, precision });
  const { config, tokenizer } = model.processor;
  const usual: Spelling = tokenizer.spacesWords ? 'compact' : 'as-written';
  return {
    device: backend.name === 'cuda' ? 'cuda' : 'cpu',
    model,
    generator: new Generator(backend, config, null, { precision }),
    defaults: usualOptions(model.processor),
    secondLook: secondLookOf(options.secondLook, tokenizer),
    spell: (text, spelling = usual) => (spelling === 'compact' ? compactLatex(text) : text),
  };
}
