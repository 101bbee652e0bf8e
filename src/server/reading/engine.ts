// Reads batches of questions with a model in this thread.
import { encodePng } from '../../formats/png.ts';
import { readEach } from '../../generate/read.ts';
import type { ReadOptions } from '../../generate/second_look.ts';
import type { EncodedSample } from '../../models/qwen2_vl/batch.ts';
import { imagePrompt } from '../../models/qwen2_vl/session.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { openReader, type ReaderOptions } from '../../train/reader.ts';
import type { Engine, Listener, Question } from './contract.ts';
import { StopText } from './stop_text.ts';

export async function openEngine(options: ReaderOptions): Promise<Engine> {
  const reader = await openReader(options);
  const { device, model, generator, defaults, spell } = reader;
  const { tokenizer } = model.processor;
  // Who starts the server with an instruction has no one that must be.
  const isFixed = options.prompt === undefined && model.replaces;
  const promptOf = ({ prompt, said }: Question): string => prompt ?? (isFixed ? model.prompt : (said ?? model.prompt));

  const read: Engine['read'] = async (questions, samplings, listener) => {
    const prompts: { sample: EncodedSample; index: number }[] = [];
    const asked = questions.map((question) => {
      const { images, name = 'the image' } = question;
      return imagePrompt({ ...model, prompt: promptOf(question) }, images.length === 1 ? images[0]! : images, name);
    });
    for (const [index, result] of (await Promise.allSettled(asked)).entries())
      if (result.status === 'fulfilled') prompts.push({ sample: result.value, index });
      else listener.outcome(index, { fault: messageOf(result.reason), input: result.reason instanceof InputError });
    const samples = prompts.map(({ sample }) => sample);
    const streams = prompts.map(({ index }) => ({
      decoder: tokenizer.stream(),
      until: new StopText(questions[index]!.stop ?? []),
    }));
    const readOptions: ReadOptions = {
      ...defaults,
      batchSize: questions.length,
      secondLook: reader.secondLook,
      own: prompts.map(({ index }) => {
        const { repetitionPenalty = defaults.repetitionPenalty, ...sampling } = samplings[index]!;
        return { ...sampling, repetitionPenalty };
      }),
    };
    const show = (i: number, text: string): void => {
      if (text !== '') listener.text(prompts[i]!.index, text);
    };
    const onToken = (i: number, token: number): void => {
      const { decoder, until } = streams[i]!;
      show(i, until.push(decoder.push(token)));
    };
    for await (const { index: i, reading } of readEach(generator, tokenizer, samples, readOptions, onToken)) {
      const { decoder, until } = streams[i]!;
      show(i, until.push(decoder.flush()) + until.flush());
      const { index, sample } = prompts[i]!;
      const whole = new StopText(questions[index]!.stop ?? []);
      const text = whole.push(reading.text) + whole.flush();
      listener.outcome(index, {
        ...{ text, latex: spell(text), confidence: reading.confidence, look: reading.look },
        stop: whole.stopped ? 'stop_text' : reading.stop,
        prompt: promptOf(questions[index]!),
        promptTokens: sample.ids.length,
        newTokens: reading.ids.length,
      });
    }
  };

  const deaf: Listener = { text() {}, outcome() {} };
  await read([{ images: [warmUpPicture()] }], [{ ...defaults, maxNewTokens: 8, secondLook: false }], deaf);
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
