#!/usr/bin/env node
// The command line's entry: finds the verb, loads its file alone, and turns every outcome into an exit code:
// 0 done, 1 failure, 2 bad usage or input, 130 interrupted.
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { InputError, messageOf, messageWithPath, RunError, refusalOf } from '../shared/errors.ts';
import { printJson } from './output.ts';

interface Verb {
  /** One line for `texlens --help`; stands here so that the help imports no verb. */
  summary: string;
  load: () => Promise<{ command: () => Command }>;
}

/** Every verb, one line each; the key is the file's name in commands/. */
export const VERBS: Readonly<Record<string, Verb>> = {
  prepare: {
    summary: 'make training data from images or synthetic formulas',
    load: () => import('./commands/prepare.ts'),
  },
  normalize: {
    summary: 'write lists of formulas in one canonical spelling',
    load: () => import('./commands/normalize.ts'),
  },
  fetch: { summary: 'bring a model from ModelScope or Hugging Face', load: () => import('./commands/fetch.ts') },
  train: { summary: 'fine-tune a model as a YAML run configuration says', load: () => import('./commands/train.ts') },
  eval: { summary: 'score a model or adapter on labelled images', load: () => import('./commands/eval.ts') },
  score: { summary: 'score what any model read, from files', load: () => import('./commands/score.ts') },
  predict: { summary: 'read formula images and print their LaTeX', load: () => import('./commands/predict.ts') },
  serve: { summary: 'keep a model loaded and read over HTTP', load: () => import('./commands/serve.ts') },
  runs: { summary: 'list, show, compare, export and delete recorded runs', load: () => import('./commands/runs.ts') },
  init: { summary: 'a new small model to train from scratch', load: () => import('./commands/init.ts') },
  demo: {
    summary: 'teach the bundled model handwritten sums, in a few minutes',
    load: () => import('./commands/demo.ts'),
  },
  ui: { summary: 'the dashboard: watch and compare runs in a browser', load: () => import('./commands/ui.ts') },
  doctor: { summary: 'what this machine can run, and why not', load: () => import('./commands/doctor.ts') },
};

const EXAMPLES = `
Examples:
  texlens doctor                              see what this machine can run
  texlens train recipes/latex-ocr.yaml        fine-tune as the recipe says
  texlens train --help                        the flags of one verb

Results go to stdout, progress and messages to stderr. With --json the last line on stdout is one JSON object.
Exit codes: 0 done, 1 failure, 2 bad usage or input, 130 interrupted.`;

/** Runs one command line (without node and script) and returns the exit code. Never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const separator = argv.indexOf('--');
  const json = (separator < 0 ? argv : argv.slice(0, separator)).includes('--json');
  const interrupt = (): void => {
    // A verb with its own handler (to save before it stops) has the first Ctrl-C to itself.
    if (process.listenerCount('SIGINT') > 1 && !interrupted) {
      interrupted = true;
      return;
    }
    if (process.stderr.isTTY) process.stderr.write('\u001b[?25h');
    process.exit(report('interrupted', 'interrupted', 130, json));
  };
  let interrupted = false;
  process.on('SIGINT', interrupt);
  try {
    const program = await buildProgram(argv);
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return reportError(error, json);
  } finally {
    process.off('SIGINT', interrupt);
  }
}

/** The whole program, with only the asked verb loaded; the others are names and summaries. */
async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('texlens')
    .description('Fine-tune, evaluate and serve Qwen2-VL for formula OCR')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(run texlens --help for the usage)');
  const words = argv.filter((word) => !word.startsWith('-'));
  const asked = words[0] === 'help' ? words[1] : words[0];
  for (const [name, verb] of Object.entries(VERBS)) {
    const loaded = name === asked ? (await verb.load()).command() : new Command();
    if (name === asked) loaded.showHelpAfterError(`(run texlens ${name} --help for the usage)`);
    program.addCommand(loaded.name(name).summary(verb.summary));
  }
  throwInsteadOfExit(program);
  return program;
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

function reportError(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) {
    // Help and version end this way too. Commander itself has written the text.
    if (error.exitCode === 0) return 0;
    const message = error.code === 'commander.help' ? 'no command given' : error.message.replace(/^error: /, '');
    if (json) printJson({ error: { kind: 'usage', message } });
    return 2;
  }
  if (error instanceof InputError) return report('input', error.message, error.exitCode, json);
  if (error instanceof RunError) return report('run', error.message, error.exitCode, json);
  // What no command had an own word for: a folder that cannot be written, as a rule.
  if (refusalOf(error)) return report('run', `${messageWithPath(error)}; check the path and its permissions.`, 1, json);
  const stack = process.env.TEXLENS_DEBUG === '1' && error instanceof Error ? `\n${error.stack}` : '';
  const hint = stack === '' ? ' (unexpected; set TEXLENS_DEBUG=1 to see where)' : stack;
  process.stderr.write(`error: ${messageOf(error)}${hint}\n`);
  if (json) printJson({ error: { kind: 'internal', message: messageOf(error) } });
  return 1;
}

function report(kind: string, message: string, exitCode: number, json: boolean): number {
  process.stderr.write(`error: ${message}\n`);
  if (json) printJson({ error: { kind, message } });
  return exitCode;
}

/** True when Node started this file (also through npm's link to it), false when a test imports it. */
function isEntry(): boolean {
  const script = process.argv[1];
  if (script === undefined) return false;
  try {
    return realpathSync(script) === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}

if (isEntry()) {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of a pipe (head, less) has gone: nothing is left to say.
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const code = await main(process.argv.slice(2));
  // Leave only when stdout has been read to its end; worker threads still idling must not keep the process.
  process.stdout.write('', () => process.exit(code));
}
