// texlens predict: reads formula images (files, folders, globs, stdin) and prints LaTeX.
import { stat } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { Command } from 'commander';
import { glob } from 'tinyglobby';
import { createOnnxBackend } from '../../backends/onnx/index.ts';
import { GENERATE_DEFAULTS, type GenerateOptions, Generator } from '../../generate/generator.ts';
import { readAll } from '../../generate/read.ts';
import type { EncodedSample } from '../../models/qwen2_vl/batch.ts';
import { imagePrompt, loadModel } from '../../models/qwen2_vl/session.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import { DEFAULT_PROMPT } from '../../train/dataset.ts';
import { printJson, withJsonOption } from '../output.ts';
import { whole } from './prepare.ts';

interface Flags {
  model: string;
  adapter?: string;
  prompt?: string;
  maxNewTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  repetitionPenalty?: number;
  seed: number;
  batch: number;
  threads?: number;
  json?: boolean;
}

export function command(): Command {
  return withJsonOption(new Command('predict'))
    .description('Reads formula images and prints their LaTeX; with --json one line an image.')
    .argument('<images...>', 'files, folders or globs; - reads one image from standard input')
    .requiredOption('--model <folder>', 'the base model')
    .option('--adapter <folder>', 'a LoRA adapter for it')
    .option('--prompt <text>', 'the instruction beside the image; by default that of the training')
    .option('--max-new-tokens <n>', 'tokens to write at most', whole, 256)
    .option('--temperature <t>', '0 is greedy', Number, 0)
    .option('--top-p <p>', 'nucleus of the probability that is kept', Number, 1)
    .option('--top-k <k>', 'tokens that are kept; 0 keeps all', whole, 0)
    .option('--repetition-penalty <r>', 'by default the model’s own', Number)
    .option('--seed <n>', 'seed of sampling', whole, 0)
    .option('--batch <n>', 'images at once', whole, 8)
    .option('--threads <n>', 'CPU threads; by default one a core', whole)
    .addHelpText(
      'after',
      '\nExamples:\n  texlens predict formula.png --model models/base\n  texlens predict "scans/*.png" --model models/base --adapter runs/a/adapter --json\n  cat formula.png | texlens predict - --model models/base',
    )
    .action(async (images: string[], flags: Flags) => {
      const sources = (await Promise.all(images.map(expand))).flat();
      const backend = await createOnnxBackend({ threads: flags.threads });
      const model = await loadModel(flags.model, flags.adapter, backend, {
        prompt: flags.prompt,
        fallbackPrompt: DEFAULT_PROMPT,
      });
      const { processor } = model;
      const prompts: EncodedSample[] = [];
      let faults = 0;
      for (const source of sources) {
        try {
          prompts.push(
            source === '-'
              ? await imagePrompt(model, await buffer(process.stdin), 'standard input')
              : await imagePrompt(model, source),
          );
        } catch (error) {
          // One bad image keeps no other from being read; the exit code tells.
          if (!(error instanceof InputError)) throw error;
          const message = messageOf(error);
          say(`error: ${message}`);
          if (flags.json) printJson({ image: source, error: { kind: 'input', message } });
          faults++;
        }
      }
      const options: GenerateOptions = {
        ...GENERATE_DEFAULTS,
        maxNewTokens: flags.maxNewTokens,
        temperature: flags.temperature,
        topK: flags.topK,
        topP: flags.topP,
        repetitionPenalty: flags.repetitionPenalty ?? processor.config.repetitionPenalty,
        seed: flags.seed,
        stopIds: processor.stopIds,
      };
      const generator = new Generator(backend, processor.config);
      const readings = await readAll(generator, processor.tokenizer, prompts, options, flags.batch);
      for (const [i, { text, confidence }] of readings.entries()) {
        const image = prompts[i]!.name;
        if (flags.json) printJson({ image, latex: text, confidence });
        else process.stdout.write(readings.length === 1 ? `${text}\n` : `${image}\t${text}\n`);
      }
      if (faults > 0) process.exitCode = 2;
    });
}

const IMAGES = '*.{png,jpg,jpeg,webp,gif,bmp,tif,tiff,PNG,JPG,JPEG}';

/** The image files that an argument names. */
async function expand(argument: string): Promise<string[]> {
  if (argument === '-') return ['-'];
  const info = await stat(argument).catch(() => null);
  if (info?.isFile()) return [argument];
  const found = await (info
    ? glob(`**/${IMAGES}`, { cwd: argument, absolute: true })
    : glob(argument, { absolute: true }));
  if (found.length === 0)
    throw new InputError(
      `${argument}: no image there; expected a file, a folder with images, a glob, or - for standard input.`,
    );
  return found.sort();
}
