// One share of drawn samples, on a worker thread: formulas drawn, sized and tokenised.
import { type DrawOptions, drawSample } from '../data/synthetic/sample.ts';
import { movedResult } from '../data/threads.ts';
import type { Grid } from '../models/qwen2_vl/positions.ts';
import { type ImageSizing, Processor, type Tidying } from '../models/qwen2_vl/processor.ts';
import { InputError } from '../shared/errors.ts';

export interface DrawTask {
  readonly draw: DrawOptions;
  readonly indices: readonly number[];
  /** the folder whose tokenizer and template are used */
  readonly model: string;
  readonly sizing: ImageSizing;
  readonly tidying?: Tidying;
  readonly prompt: string;
}

/** The task's samples in its order; their ids and patches lie one after another. */
export interface DrawnShare {
  readonly samples: readonly (
    | { readonly grid: Grid; readonly tokens: number; readonly labelStart: number; readonly bytes: number }
    | { readonly dropped: string }
  )[];
  readonly ids: Int32Array<ArrayBuffer>;
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** lines of the lists that cannot be drawn, in whose place the next ones were */
  readonly skipped: number;
}

let opened: { readonly key: string; readonly processor: Promise<Processor> } | undefined;

function processorOf({ model, sizing, tidying }: DrawTask): Promise<Processor> {
  const key = JSON.stringify([model, sizing, tidying]);
  if (opened?.key !== key) opened = { key, processor: Processor.load(model, sizing, tidying) };
  return opened.processor;
}

export default async function drawShare(task: DrawTask): Promise<DrawnShare> {
  const processor = await processorOf(task);
  const samples: DrawnShare['samples'][number][] = [];
  const ids: Int32Array[] = [];
  const pixels: Uint8Array[] = [];
  let skipped = 0;
  for (const index of task.indices) {
    const { latex, skipped: lines, ...picture } = await drawSample(task.draw, index);
    skipped += lines;
    try {
      const image = processor.picture(picture);
      const made = processor.sample([image.grid], task.prompt, latex);
      samples.push({
        grid: image.grid,
        tokens: made.ids.length,
        labelStart: made.labelStart,
        bytes: image.pixels.length,
      });
      ids.push(made.ids);
      pixels.push(image.pixels);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      samples.push({ dropped: error.message });
    }
  }
  const share = { samples, ids: joined(ids, Int32Array), pixels: joined(pixels, Uint8Array), skipped };
  return movedResult(share, [share.ids.buffer, share.pixels.buffer]);
}

function joined<T extends Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  parts: readonly ArrayLike<number>[],
  Kind: new (length: number) => T,
): T {
  const all = new Kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
