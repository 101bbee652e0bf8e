// What a run configuration may say, with the defaults; run_config.ts reads it and tells its faults.
import { z } from 'zod';
import { DEVICES, DTYPES } from '../backends/open.ts';
import { LEVELS } from '../data/synthetic/grammar.ts';
import { STYLES } from '../data/synthetic/style.ts';
import { EXPORTER_NAMES } from '../tracker/exporters/index.ts';

// The description of a key is what an error says was expected.
const count = (fallback: number, least = 1) =>
  z.number().int().min(least).default(fallback).describe(`a whole number, ${least} or more`);
const optionalCount = (least = 1) =>
  z.number().int().min(least).optional().describe(`a whole number, ${least} or more`);
const above0 = (fallback: number) => z.number().positive().default(fallback).describe('a number above 0');
const atLeast0 = (fallback: number) => z.number().min(0).default(fallback).describe('a number, 0 or more');
const below1 = (fallback: number) => z.number().min(0).lt(1).default(fallback).describe('a number from 0 to below 1');
const flag = (fallback: boolean) => z.boolean().default(fallback).describe('true or false');
const path = (what: string) => z.string().min(1).describe(what);
const choice = <const T extends readonly [string, ...string[]]>(names: T, fallback: T[number]) =>
  z
    .enum(names)
    .default(() => fallback as z.infer<z.ZodEnum<{ [K in T[number]]: K }>>)
    .describe(`one of ${names.join(', ')}`);
const beta = z.number().min(0).lt(1);

export const LORA_TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

const TRACKERS = ['local', ...EXPORTER_NAMES] as const;

const draw = z.strictObject({
  /** lists of formulas, one a line: each once before any twice; without them the grammar makes all */
  formulas: z.array(z.string().min(1)).min(1).optional().describe('a list of files of formulas, one a line'),
  /** share that the grammar makes beside `formulas`; 0 unless given */
  grammar: z.number().min(0).max(1).optional().describe('a share, from 0 to 1'),
  /** share of the lists' formulas that are varied: variables renamed, parts of others grafted in; 0 unless given */
  varied: z.number().min(0).max(1).optional().describe('a share, from 0 to 1'),
  /** pictures of each formula, each with a look of its own, some blocks apart; 1 unless given */
  looks: optionalCount(),
  style: choice(STYLES, 'printed'),
  level: choice(LEVELS, 'easy'),
  /** samples of a block: each block is drawn while the one before trains */
  block: optionalCount(),
  /** times that each block is trained before the next one, where drawing is slower than training; 1 unless given */
  passes: optionalCount(),
  /** threads; one a core but for the one that trains unless given */
  workers: optionalCount(),
});

/** Defaults are the tutorial's settings, mended; recipes/latex-ocr.yaml lists the mends. Paths are relative to the
 * working directory. */
export const schema = z.strictObject({
  model: path('the base model: a folder, or modelscope:… or hf:…'),
  data: z
    .strictObject({
      train: path('the conversation JSON to train on').optional().describe('the conversation JSON to train on'),
      /** In place of `train`: formulas drawn by worker threads while the run goes on. */
      draw: draw.optional().describe('keys and values of what to draw, such as {level: medium}'),
      val: path('the conversation JSON to evaluate on').optional().describe('the conversation JSON to evaluate on'),
      /** Decoded and sized images and token ids; beside `train` by default. A limit of 0 keeps none. */
      cache: path('a folder').optional().describe('a folder for processed samples'),
      cache_limit_gb: atLeast0(10),
      /** Where set, it stands in place of the instruction in the conversations. */
      prompt: z.string().min(1).optional().describe('the instruction beside the image, as text'),
    })
    .prefault({} as never),
  /** What is not said is as the base was trained, where it tells (base_settings.ts). */
  image: z
    .strictObject({
      min_pixels: optionalCount(28 * 28),
      max_pixels: optionalCount(28 * 28),
      resized_height: optionalCount(),
      resized_width: optionalCount(),
      /** Pictures are tidied (src/formats/tidy) in training and, by the trained model, at reading; 0 for no tidying. */
      tidy_em: optionalCount(0),
    })
    .prefault({}),
  method: choice(['lora', 'full'], 'lora'),
  /** Read when method is lora. */
  lora: z
    .strictObject({
      r: count(64),
      alpha: above0(16),
      dropout: below1(0.05),
      rslora: flag(false),
      target_modules: z
        .array(z.string().min(1))
        .min(1)
        .default(() => [...LORA_TARGETS])
        .describe('a list of module names, such as [q_proj, v_proj]'),
    })
    .prefault({}),
  /** A frozen part gets neither changed weights (full) nor adapters (lora). */
  freeze: z
    .strictObject({ patches: flag(true), vision: flag(true), merger: flag(true), text: flag(false) })
    .prefault({}),
  train: z
    .strictObject({
      epochs: z.number().positive().optional().describe('a number above 0'),
      max_steps: optionalCount(),
      batch_tokens: count(1024),
      row_tokens: count(512),
      accumulate: count(4),
      lr: above0(1e-4),
      weight_decay: atLeast0(0),
      betas: z
        .tuple([beta, beta])
        .default([0.9, 0.999])
        .describe('two numbers from 0 to below 1, such as [0.9, 0.999]'),
      eps: above0(1e-8),
      schedule: choice(['linear', 'cosine', 'constant'], 'linear'),
      warmup_steps: optionalCount(0),
      warmup_ratio: z.number().min(0).lt(1).optional().describe('a number from 0 to below 1'),
      max_grad_norm: above0(1),
      seed: count(42, 0),
      dtype: choice(DTYPES, 'auto'),
      feature_cache: z.number().min(0).optional().describe('GiB, 0 or more'),
      recompute: z
        .union([z.literal('auto'), z.boolean()])
        .default('auto')
        .describe('auto, true or false'),
      memory_limit: z
        .number()
        .positive()
        .optional()
        .describe('GiB of the card or, on the CPU, of the machine, above 0'),
    })
    .prefault({}),
  eval: z
    .strictObject({
      every_steps: count(50),
      count: count(64),
      max_new_tokens: count(512),
      metric: choice(['edit_distance', 'exact_match', 'loss'], 'edit_distance'),
      early_stopping_patience: optionalCount(),
    })
    .prefault({}),
  save: z.strictObject({ every_steps: count(100), keep: count(3) }).prefault({}),
  /** The run is always recorded in the output folder. */
  track: z
    .strictObject({
      to: z
        .array(z.enum(TRACKERS))
        .default(() => ['local' as const])
        .describe(`a list out of ${TRACKERS.join(', ')}`),
      project: z.string().min(1).default('texlens').describe('a text'),
      name: z.string().min(1).optional().describe('a text'),
      tags: z
        .array(z.string().min(1))
        .default(() => [])
        .describe('a list of texts, such as [baseline]'),
      notes: z.string().default('').describe('a text'),
      system_seconds: atLeast0(10),
    })
    .prefault({}),
  output: path('the folder to write the run to'),
  device: choice(DEVICES, 'auto'),
});

export type RunConfig = z.output<typeof schema>;
