// The command line's frame: the verb map against the folder, help without loading verbs, exit codes, JSON errors.
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SAMPLING_RULES } from '../generate/sampling_rules.ts';
import { ChatRequest } from '../server/reading/chat_request.ts';
import { main, VERBS } from './main.ts';

let out = '';
let err = '';

beforeEach(() => {
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

describe('VERBS', () => {
  it('has one line for every file in commands/', () => {
    const files = readdirSync(new URL('./commands/', import.meta.url))
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => name.slice(0, -'.ts'.length));
    expect(Object.keys(VERBS).sort()).toEqual(files.sort());
  });

  it('loads a command from every line', async () => {
    for (const verb of Object.values(VERBS)) {
      const { command } = await verb.load();
      expect(command().description()).not.toBe('');
    }
  });
});

describe('main', () => {
  it('lists every verb with its summary and examples, loading none', async () => {
    const loads = Object.values(VERBS).map((verb) => vi.spyOn(verb, 'load'));
    expect(await main(['--help'])).toBe(0);
    for (const [name, verb] of Object.entries(VERBS)) {
      expect(out).toContain(name);
      expect(out).toContain(verb.summary);
    }
    expect(out).toContain('Examples:');
    for (const load of loads) expect(load).not.toHaveBeenCalled();
  });

  it.each([[['doctor', '--help']], [['help', 'doctor']]])('shows the help of one verb: %j', async (argv) => {
    expect(await main(argv)).toBe(0);
    expect(out).toContain('--json');
  });

  it('answers --version', async () => {
    expect(await main(['--version'])).toBe(0);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([[[]], [['docter']], [['doctor', '--no-such-flag']], [['--no-such-flag']]])(
    'exits 2 on bad usage: %j',
    async (argv) => {
      expect(await main(argv)).toBe(2);
      expect(err).not.toBe('');
      expect(out).toBe('');
    },
  );

  it.each([
    ['--temperature', '-1', 'a number, 0 or more'],
    ['--top-p', '1.5', 'a number of 0 to 1'],
    ['--top-k', '1.5', 'a whole number, 0 or more'],
    ['--repetition-penalty', '0', 'a number above 0'],
    ['--seed', '2147483648', 'a whole number from 0 to 2147483647'],
  ])('refuses %s %s of predict', async (flag, value, expected) => {
    expect(await main(['predict', 'formula.png', flag, value])).toBe(2);
    expect(err).toContain(`expected ${expected}`);
  });

  it.each(Object.entries(SAMPLING_RULES))('lets serve and predict ask the same of %s', async (name, { allows }) => {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    for (const value of [-1, 0, 0.5, 1, 1.5, 2 ** 31 - 1, 2 ** 31]) {
      err = '';
      await main(['predict', 'absent.png', `--${flag}=${value}`]);
      expect(err.includes('no image there'), `--${flag} ${value}: ${err}`).toBe(allows(value));
      const parsed = ChatRequest.safeParse({ messages: [{ role: 'user', content: '' }], [key]: value });
      expect(parsed.success, `${key}: ${value}`).toBe(allows(value));
    }
  });

  it.each([
    [
      ['predict', 'docs/report.png', '--dtype', 'int8', '--device', 'cuda'],
      'int8 is for the CPU, and the device is cuda',
    ],
    [['demo', '--dtype', 'int8'], 'Allowed choices are auto, float32, bfloat16.'],
  ])('refuses 8 bits where they are not to be had: %j', async (argv, message) => {
    expect(await main(argv)).toBe(2);
    expect(err).toContain(message);
  });

  it('suggests the nearest verb', async () => {
    await main(['docter']);
    expect(err).toContain('Did you mean doctor?');
  });

  it('writes a usage error as one JSON line too', async () => {
    expect(await main(['doctor', '--json', '--no-such-flag'])).toBe(2);
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toEqual({ error: { kind: 'usage', message: "unknown option '--no-such-flag'" } });
  });

  it('turns a verb that throws into kind, message and exit code', async () => {
    const { Command } = await import('commander');
    const { InputError, RunError } = await import('../shared/errors.ts');
    const cases: [Error, number, string][] = [
      [new InputError('bad file'), 2, 'input'],
      [new RunError('disk full'), 1, 'run'],
      [new TypeError('oops'), 1, 'internal'],
    ];
    for (const [thrown, code, kind] of cases) {
      out = '';
      const failing = (): InstanceType<typeof Command> =>
        new Command().option('--json').action(() => {
          throw thrown;
        });
      vi.spyOn(VERBS.doctor!, 'load').mockResolvedValue({ command: failing });
      expect(await main(['doctor', '--json'])).toBe(code);
      expect(JSON.parse(out)).toEqual({ error: { kind, message: thrown.message } });
      expect(err).toContain(thrown.message);
    }
  });

  it('leaves no signal handler behind', async () => {
    const before = process.listenerCount('SIGINT');
    await main(['--help']);
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});
