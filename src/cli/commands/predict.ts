// texlens predict: reads formula images (files, folders, globs, stdin) and prints LaTeX.
import { stat } from 'node:fs/promises';
import { clearScreenDown, moveCursor } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { glob } from 'tinyglobby';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import type { Generator } from '../../generate/generator.ts';
import { readAll, readEach } from '../../generate/read.ts';
import { SAMPLING_RULES as RULES } from '../../generate/sampling_rules.ts';
import type { Reading, ReadOptions } from '../../generate/second_look.ts';
import { resolveAdapter } from '../../hub/resolve.ts';
import type { EncodedSample } from '../../models/qwen2_vl/batch.ts';
import { imagePrompt, type LoadedModel, MODEL_HELP, NO_TIDY_HELP, TIDY_HELP } from '../../models/qwen2_vl/session.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import { openReader, SPELLINGS, type Spelling } from '../../train/reader.ts';
import { NO_SECOND_LOOK_HELP, SECOND_LOOK_HELP } from '../../train/second_look.ts';
import { type DeviceFlags, withReadingDeviceOptions } from '../device_flags.ts';
import { type HubFlags, modelFolder, withHubOptions } from '../hub_flags.ts';
import { count, ruled, upTo64 } from '../numbers.ts';
import { printJson, withJsonOption } from '../output.ts';

interface Flags extends DeviceFlags, HubFlags {
  model?: string;
  adapter?: string;
  prompt?: string;
  tidy?: boolean;
  spelling?: Spelling;
  together?: boolean;
  maxNewTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  repetitionPenalty?: number;
  secondLook?: number | false;
  seed: number;
  batch: number;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  texlens predict formula.png
  texlens predict "scans/*.png" --model Qwen2-VL-2B-Instruct --adapter runs/a/adapter --json
  texlens predict first.png second.png --together --prompt "Read both lines."
  cat formula.png | texlens predict -

One image is written as it is read, token by token, on a terminal. Of several, each is printed when it is done, with its
name; --json prints {"image", "latex", "confidence", "look", "stop"} for each, or {"image", "error"} for one that cannot
be read. A look is "first", "mended" where brackets were closed or left out after it, or "second"; a stop is "stop_token"
where the model was done, "length" at --max-new-tokens, "repetition" in a loop, and "blank" of a picture with nothing on it.

The bundled model, and what is trained from it, writes x _ { 1 } = \\operatorname { s i n } y, which is printed as people
write it: x_1=\\sin y. --spelling as-written prints the model's own words; --spelling compact shortens those of any model.
Shortening keeps the canonical tokens that scores compare; a formula where it would not stays as it was written.`;

export function command(): Command {
  return withReadingDeviceOptions(withHubOptions(withJsonOption(new Command('predict'))))
    .description('Reads formula images and prints their LaTeX; with --json one line an image.')
    .argument('<images...>', 'files, folders or globs; - reads one image from standard input')
    .option('--model <model>', MODEL_HELP)
    .option('--adapter <adapter>', 'a LoRA adapter for it: a folder, or HUB:OWNER/NAME')
    .option('--prompt <text>', 'the instruction beside the image; by default that of the training')
    .option('--tidy', TIDY_HELP)
    .option('--no-tidy', NO_TIDY_HELP)
    .addOption(
      new Option(
        '--spelling <how>',
        'by default compact where the model’s tokenizer puts spaces between words',
      ).choices(SPELLINGS),
    )
    .option('--second-look <n>', SECOND_LOOK_HELP, upTo64)
    .option('--no-second-look', NO_SECOND_LOOK_HELP)
    .option('--together', 'all images are one question, with one answer')
    .option('--max-new-tokens <n>', 'tokens to write at most', count, 256)
    .option(
      '--temperature <t>',
      '0 takes the likeliest token, whatever --top-p, --top-k and --seed say',
      ruled(RULES.temperature),
      0,
    )
    .option(
      '--top-p <p>',
      'share of the probability that is kept; 0 keeps the likeliest token alone',
      ruled(RULES.topP),
      1,
    )
    .option('--top-k <k>', 'tokens that are kept; 0 keeps all', ruled(RULES.topK), 0)
    .option('--repetition-penalty <r>', 'by default the model’s own', ruled(RULES.repetitionPenalty))
    .option('--seed <n>', 'seed of sampling', ruled(RULES.seed), 0)
    .option('--batch <n>', 'images at once', count, 8)
    .addHelpText('after', EXAMPLES)
    .action(async (images: string[], flags: Flags) => {
      const sources = (await Promise.all(images.map(expand))).flat();
      const reader = await openReader({
        ...flags,
        model: flags.model && (await modelFolder(flags.model, flags)),
        adapter: flags.adapter && (await resolveAdapter(flags.adapter, flags)),
      });
      const { model, generator, secondLook } = reader;
      const { tokenizer } = model.processor;
      const options: ReadOptions = {
        ...reader.defaults,
        maxNewTokens: flags.maxNewTokens,
        temperature: flags.temperature,
        topK: flags.topK,
        topP: flags.topP,
        repetitionPenalty: flags.repetitionPenalty ?? reader.defaults.repetitionPenalty,
        seed: flags.seed,
        batchSize: flags.batch,
        secondLook,
      };
      const single = flags.together === true || sources.length === 1;
      const spelled = (text: string): string => reader.spell(text, flags.spelling);
      const print = (image: string, reading: Reading): void => {
        const text = spelled(reading.text);
        const { confidence, look, stop } = reading;
        if (stop === 'blank') say(`${image}: blank: nothing is written on it`);
        if (flags.json) printJson({ image, latex: text, confidence, look, stop });
        else process.stdout.write(single ? `${text}\n` : `${image}\t${text}\n`);
      };
      const terminals = flags.json ? [process.stderr] : [process.stdout, process.stderr];
      const terminal = terminals.find((stream) => stream.isTTY);
      let opened = 0;
      for await (const prompts of inStretches(model, sources, flags)) {
        opened += prompts.length;
        const [only] = prompts;
        if (only && single && terminal) {
          const { reading, streamed } = await stream(generator, tokenizer, only, options, terminal);
          const isPrinted = terminal === process.stdout && spelled(reading.text) === streamed;
          if (!isPrinted) {
            if (terminal === process.stdout) erase(streamed, terminal);
            print(only.name, reading);
          }
        } else
          for await (const { index, reading } of readEach(generator, tokenizer, prompts, options))
            print(prompts[index]!.name, reading);
      }
      if (opened < sources.length && !flags.together) process.exitCode = 2;
    });
}

/** Batches whose images are open at once: among so many those of alike lengths are found, and they fit in memory. */
const STRETCH = 16;

async function* inStretches(
  model: LoadedModel,
  sources: readonly string[],
  { together, batch, json = false }: Flags,
): AsyncGenerator<EncodedSample[]> {
  if (together) yield [await imagePrompt(model, sources, sources.join(', '))];
  else
    for (let start = 0; start < sources.length; start += STRETCH * batch)
      yield await readImages(model, sources.slice(start, start + STRETCH * batch), json);
}

/** The images that can be read; the others are told, and keep none from being read. */
async function readImages(model: LoadedModel, sources: readonly string[], json: boolean): Promise<EncodedSample[]> {
  const prompts: EncodedSample[] = [];
  for (const source of sources) {
    try {
      const [bytes, name] = source === '-' ? [await buffer(process.stdin), 'standard input'] : [source, source];
      prompts.push(await imagePrompt(model, bytes, name));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const message = messageOf(error);
      say(`error: ${message}`);
      if (json) printJson({ image: source, error: { kind: 'input', message } });
    }
  }
  return prompts;
}

/** Writes the text of one image to a terminal as its tokens come; a second look shows nothing of itself. */
async function stream(
  generator: Generator,
  tokenizer: Tokenizer,
  prompt: EncodedSample,
  options: ReadOptions,
  terminal: NodeJS.WriteStream,
): Promise<{ reading: Reading; streamed: string }> {
  const decoder = tokenizer.stream();
  let streamed = '';
  const show = (text: string): void => {
    streamed += text;
    terminal.write(text);
  };
  const [reading] = await readAll(generator, tokenizer, [prompt], options, undefined, (_, token) =>
    show(decoder.push(token)),
  );
  show(decoder.flush());
  terminal.write('\n');
  return { reading: reading!, streamed };
}

/** Takes lines that were just written off the terminal. */
function erase(text: string, terminal: NodeJS.WriteStream): void {
  const columns = terminal.columns || 80; // 0 where a terminal does not know
  const rows = text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);
  moveCursor(terminal, 0, -rows);
  clearScreenDown(terminal);
}

const IMAGES = '*.{png,jpg,jpeg,webp,gif,bmp,tif,tiff}';

/** The image files that an argument names. */
async function expand(argument: string): Promise<string[]> {
  if (argument === '-') return ['-'];
  const info = await stat(argument).catch(() => null);
  if (info?.isFile()) return [argument];
  const found = await (info
    ? glob(`**/${IMAGES}`, { cwd: argument, absolute: true, caseSensitiveMatch: false })
    : glob(argument, { absolute: true }));
  if (found.length === 0)
    throw new InputError(
      `${argument}: no image there; expected a file, a folder with images, a glob, or - for standard input.`,
    );
  return found.sort();
}
