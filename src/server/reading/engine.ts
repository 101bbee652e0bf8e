// Reads batches of questions with a model in this thread.
import { encodePng } from '../../formats/png.ts';
import type { EncodedSample } from '../../models/qwen2_vl/batch.ts';
import { imagePrompt } from '../../models/qwen2_vl/session.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { openReader, type ReaderOptions } from '../../train/reader.ts';
import type { Engine, Outcome } from './contract.ts';
import { StopText } from './stop_text.ts';

export async function openEngine(options: ReaderOptions): Promise<Engine> {
  const { device, model, generator, defaults, spell } = await openReader(options);
  const { tokenizer } = model.processor;

  const read: Engine['read'] = async (questions, { repetitionPenalty, ...sampling }, onText) => {
    const outcomes = new Array<Outcome>(questions.length);
    const prompts: { sample: EncodedSample; index: number }[] = [];
    const asked = questions.map(({ images, prompt = model.prompt, name = 'the image' }) =>
      imagePrompt({ ...model, prompt }, images.length === 1 ? images[0]! : images, name),
    );
    for (const [index, result] of (await Promise.allSettled(asked)).entries())
      if (result.status === 'fulfilled') prompts.push({ sample: result.value, index });
      else outcomes[index] = { fault: messageOf(result.reason), input: result.reason instanceof InputError };
    const writers = prompts.map(({ index }) => {
      const decoder = tokenizer.stream();
      const until = new StopText(questions[index]!.stop ?? []);
      const writer = {
        until,
        text: '',
        show(text: string): void {
          writer.text += text;
          if (text !== '') onText(index, text);
        },
        push: (token: number): void => writer.show(until.push(decoder.push(token))),
        finish: (): void => writer.show(until.push(decoder.flush()) + until.flush()),
      };
      return writer;
    });
    const results = await generator.generate(
      prompts.map(({ sample }) => sample),
      { ...defaults, ...sampling, ...(repetitionPenalty !== undefined && { repetitionPenalty }) },
      (i, token) => writers[i]!.push(token),
    );
    for (const [i, { ids, confidence, stop }] of results.entries()) {
      const { index, sample } = prompts[i]!;
      const writer = writers[i]!;
      writer.finish();
      outcomes[index] = {
        text: writer.text,
        latex: spell(writer.text),
        confidence,
        stop: writer.until.stopped ? 'stop_text' : stop,
        promptTokens: sample.ids.length,
        newTokens: ids.length,
      };
    }
    return outcomes;
  };

  await read([{ images: [warmUpPicture()] }], { ...defaults, maxNewTokens: 8 }, () => {});
  return { device, alive: true, read, close: () => generator.dispose() };
}

/** Bars of ink of a formula's usual size: what is loaded and compiled at a first reading then is there. */
function warmUpPicture(): Uint8Array {
  const [width, height] = [300, 60];
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x % 20 < 6 && y > 15 && y < 45 ? 0 : 255;
  });
  return encodePng({ pixels, width, height, channels: 1 });
}
