// The run configuration: the recipe against the defaults, and every kind of fault with its place and its words.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { InputError } from '../shared/errors.ts';
import { type Overrides, parseRunConfig } from '../train/run_config.ts';
import { overridesFrom, parseSettings, withRunConfigOptions } from './run_flags.ts';

const MINIMAL = 'model: m\ndata: {train: t.json}\noutput: out\n';

function faults(yaml: string, overrides: Overrides = {}): string {
  try {
    parseRunConfig(yaml, 'run.yaml', overrides);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }
  throw new Error('expected a fault');
}

describe('defaults', () => {
  it('are the recipe, but for its paths and prompt', () => {
    const url = new URL('../../recipes/latex-ocr.yaml', import.meta.url);
    const recipe = parseRunConfig(readFileSync(url, 'utf8'), 'recipes/latex-ocr.yaml');
    const { model, data, output } = recipe;
    expect({ ...parseRunConfig(MINIMAL, 'run.yaml'), model, data, output }).toEqual(recipe);
  });

  it('are the tutorial’s settings', () => {
    const config = parseRunConfig(MINIMAL, 'run.yaml');
    expect(config.lora).toMatchObject({ r: 64, alpha: 16, dropout: 0.05 });
    expect(config.train).toMatchObject({ lr: 1e-4, epochs: 2, accumulate: 4, warmup_steps: 0, schedule: 'linear' });
    expect(config.data.val).toBeUndefined();
  });

  it('fill in a section left blank', () => {
    expect(parseRunConfig(`${MINIMAL}lora:\n`, 'run.yaml').lora.r).toBe(64);
  });

  it('leave the other one of an exclusive pair out', () => {
    const { train, image } = parseRunConfig(
      `${MINIMAL}train: {max_steps: 3, warmup_ratio: 0.1}\nimage: {resized_height: 56, resized_width: 280}\n`,
      'run.yaml',
    );
    expect(train).toMatchObject({ max_steps: 3, epochs: undefined, warmup_steps: undefined });
    expect(image).toEqual({ resized_height: 56, resized_width: 280 });
  });
});

describe('faults', () => {
  it('are told all at once, with line, key, what was expected and what came', () => {
    const message = faults('model: m\ndata:\n  train: 3\ntrain:\n  lr: fast\n  learning_rte: 1\n  betas: [0.9, 2]\n');
    expect(message.split('\n')).toEqual([
      '5 faults in the run configuration:',
      expect.stringContaining('run.yaml:3: data.train: expected the conversation JSON to train on, got 3'),
      expect.stringContaining('run.yaml:5: train.lr: expected a number above 0, got "fast"'),
      expect.stringMatching(/run.yaml:7: train.betas: expected two numbers .*, got 2 at position 2/),
      expect.stringMatching(/run.yaml:6: train.learning_rte: unknown key; the nearest known one is train\.lr$/),
      expect.stringContaining('run.yaml: output: expected the folder to write the run to, got nothing'),
    ]);
  });

  it.each([
    ['lora: {rank: 8, alhpa: 1}', 'lora.alhpa: unknown key; the nearest known one is lora.alpha'],
    ['lora: {rank: 8}', 'lora.rank: unknown key; the nearest known one is lora.r'],
    ['output_dir: x', 'output_dir: unknown key; the nearest known one is output'],
    ['lr: 1', 'lr: unknown key; the nearest known one is train.lr'],
    ['trian: {lr: 1}', 'trian: unknown key; the nearest known one is train'],
    ['train: {__proto__: 1}', 'train.__proto__: unknown key'],
    ['train: 3', 'train: expected keys and values (train.epochs,'],
    ['method: qlora', 'method: expected one of lora, full, got "qlora"'],
    ['device: gpu', 'device: expected one of auto, cpu, cuda, got "gpu"'],
    ['train: {dtype: int8}', 'train.dtype: expected one of auto, float32, bfloat16, got "int8"'],
    ['train: {lr: .nan}', 'train.lr: expected a number above 0'],
    ['train: {seed: -1}', 'train.seed: expected a whole number, 0 or more, got -1'],
    ['train: {accumulate: 1.5}', 'train.accumulate: expected a whole number, 1 or more, got 1.5'],
    ['lora: {target_modules: []}', 'lora.target_modules: expected a list of module names'],
    ['train: {epochs: 1, max_steps: 2}', 'expected either train.epochs or train.max_steps, got both'],
    ['image: {min_pixels: 784, resized_height: 9, resized_width: 9}', 'got both'],
    ['image: {resized_height: 28}', 'image.resized_height: expected image.resized_width beside it'],
    ['image: {min_pixels: 9000, max_pixels: 8000}', 'image.max_pixels: expected at least min_pixels (9000), got 8000'],
    ['train: {batch_tokens: 100}', 'expected batch_tokens of at least row_tokens, got 100 and 512'],
    [
      'track: {to: [wandb]}',
      'track.to: expected a list out of local, swanlab, swanlab-cloud, tensorboard, got "wandb"',
    ],
    ['freeze: {text: true}', 'nothing would train'],
    ['eval: {early_stopping_patience: 2}', 'expected data.val beside it'],
  ])('%s', (yaml, expected) => {
    expect(faults(`${MINIMAL}${yaml}\n`)).toContain(expected);
  });

  it.each([
    ['data: {}', 'data.train: expected the conversation JSON to train on, or data.draw, got nothing'],
    ['data: {train: t, draw: {}}', 'data.draw: expected either data.train or data.draw, got both: leave one out'],
    ['data: {draw: {level: odd}}', 'data.draw.level: expected one of tiny, sums, easy, medium, hard, got "odd"'],
    ['data: {draw: {levl: easy}}', 'data.draw.levl: unknown key; the nearest known one is data.draw.level'],
    ['data: {draw: {looks: 0}}', 'data.draw.looks: expected a whole number, 1 or more, got 0'],
    ['data: {draw: 3}', 'data.draw: expected keys and values (data.draw.formulas, data.draw.grammar,'],
    ['data: {draw: {grammar: 0.5}}', 'data.draw.grammar: expected data.draw.formulas'],
    [
      'data: {draw: {formulas: [3]}}',
      'data.draw.formulas: expected a list of files of formulas, one a line, got 3 at position 1',
    ],
    ['data: {draw: {}}', 'train.max_steps: expected it beside data.draw, which has no end; got nothing'],
    [
      'data: {draw: {}}\ntrain: {max_steps: 1, feature_cache: 1}',
      'train.feature_cache: expected none beside data.draw',
    ],
  ])('%s', (yaml, expected) => {
    expect(faults(`model: m\noutput: out\n${yaml}\n`)).toContain(expected);
  });

  it('of sections within sections are mended by flags', () => {
    const yaml = 'model: m\noutput: out\ndata: {draw: {level: easy}}\ntrain: {max_steps: 1}\n';
    const { draw } = parseRunConfig(
      yaml,
      'run.yaml',
      parseSettings(['data.draw.level=hard', 'data.draw.block=7']),
    ).data;
    expect(draw).toEqual({ style: 'printed', level: 'hard', block: 7 });
    const { data } = parseRunConfig(yaml, 'run.yaml', { 'data.train': 't.json' });
    expect([data.train, data.draw]).toEqual(['t.json', undefined]);
  });

  it('name line and column of broken YAML', () => {
    expect(faults('model: m\ntrain: {lr: 1\n')).toMatch(/run.yaml:\d+:\d+: /);
    expect(faults('model: a\nmodel: b\n')).toMatch(/run.yaml:2:1: Map keys must be unique/);
    expect(faults('- a\n')).toContain('expected keys and values');
  });

  it('list what is missing in an empty file', () => {
    const message = faults('');
    for (const key of ['model', 'data.train', 'output']) expect(message).toContain(` ${key}: expected`);
  });
});

describe('overrides', () => {
  it('win over the file and replace the other one of an exclusive pair', () => {
    const yaml = `${MINIMAL}train: {epochs: 3, lr: 1}\n`;
    const config = parseRunConfig(yaml, 'run.yaml', parseSettings(['train.lr=1e-4', 'train.max_steps=5']));
    expect(config.train).toMatchObject({ lr: 1e-4, max_steps: 5, epochs: undefined });
  });

  it('read values as YAML, but texts as they are', () => {
    expect({ ...parseSettings(['lora.target_modules=[q_proj]', 'data.prompt=a: b', 'model=007']) }).toEqual({
      'lora.target_modules': ['q_proj'],
      'data.prompt': 'a: b',
      model: '007',
    });
  });

  it('tell their faults as the command line’s', () => {
    const message = faults(MINIMAL, parseSettings(['train.lrr=1', 'train.lr=x', 'lora=1', '__proto__.a=1']));
    expect(message).toContain('command line: train.lrr: unknown key; the nearest known one is train.lr');
    expect(message).toContain('command line: train.lr: expected a number above 0, got "x"');
    expect(message).toContain('command line: lora: is a section: set one of lora.r,');
    expect(message).toContain('command line: __proto__.a: unknown key');
    expect(() => parseSettings(['train.lr'])).toThrow('expected KEY=VALUE');
  });

  it('come from dedicated flags, which win over --set', () => {
    const command = withRunConfigOptions(new Command());
    command.parse(
      [
        ...['--set', 'train.lr=1', '--set', 'lora.r=8', '--lr', '2e-4', '--train-data', '1', '--max-steps', '7'],
        ...['--track', 'swanlab', '--track', 'tensorboard', '--run-name', '7'],
      ],
      {
        from: 'user',
      },
    );
    expect({ ...overridesFrom(command) }).toEqual({
      'train.lr': 2e-4,
      'lora.r': 8,
      'data.train': '1',
      'train.max_steps': 7,
      'track.to': ['swanlab', 'tensorboard'],
      'track.name': '7',
    });
  });
});
