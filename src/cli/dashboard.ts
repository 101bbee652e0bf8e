// What commands that serve pages share, and the dashboard beside another command: a process of its own, so that neither
// waits for the other, that ends with it.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { say } from '../shared/log.ts';

/** Serves a folder of runs until the returned function is called or this process ends. */
export function startDashboard(root: string): () => void {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  // Over the channel the other process notices the end of this one, however it ends.
  const child = spawn(process.execPath, [main, 'ui', '--runs', root], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.on('error', (error) => say(`the dashboard cannot be started (${error.message}); the run goes on without it`));
  child.unref();
  child.channel?.unref();
  return () => {
    if (child.connected) child.disconnect();
  };
}

/** Opens an address in the reader's browser; where none can be started the address on the terminal remains. */
export function openBrowser(url: string): void {
  const [program, ...args]: [string, ...string[]] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['rundll32', 'url.dll,FileProtocolHandler', url]
        : ['xdg-open', url];
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  child.on('error', () => say(`no browser could be opened (${program} is missing); open the address above yourself`));
  child.unref();
}

/** Until Ctrl-C, a signal, or the end of the command that started this one ('disconnect'). */
export async function askedToEnd(): Promise<void> {
  const ends = ['SIGINT', 'SIGTERM', 'disconnect'];
  await new Promise<void>((resolve) => ends.map((event) => process.once(event, () => resolve())));
}
