// texlens ui through the built command line: it says where it is, answers there, and ends when asked or left alone.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'texlens-ui-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const ui = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [MAIN, 'ui', '--runs', root, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });

const printed = async (child: ChildProcess): Promise<{ url: string }> =>
  JSON.parse(String((await once(child.stdout!, 'data'))[0])) as { url: string };

describe('texlens ui', () => {
  it.each<[string, (child: ChildProcess) => void]>([
    ['SIGTERM', (child) => child.kill('SIGTERM')],
    ['SIGINT', (child) => child.kill('SIGINT')],
    ['the end of the command that started it', (child) => child.disconnect()],
  ])('serves the page until %s', async (_, end) => {
    const child = ui('--port', '0');
    const { url } = await printed(child);
    expect(await (await fetch(url)).text()).toContain('<title>texlens</title>');
    const left = once(child, 'exit');
    end(child);
    expect(await left).toEqual([0, null]);
  });

  it('refuses a network without a token as bad usage', async () => {
    const child = ui('--host', '0.0.0.0', '--port', '0');
    let told = '';
    child.stderr?.on('data', (text) => {
      told += text;
    });
    expect(await once(child, 'close')).toEqual([2, null]);
    expect(told).toMatch(/--token/);
  });
});
