// Long work that waits for nothing would keep timers and signals, Ctrl-C among them, waiting to its end.
import { setImmediate as nextTurn } from 'node:timers/promises';

const EVERY_MS = 50;

/** To be called between pieces of such work: from time to time the event loop has a turn. */
export function turns(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < EVERY_MS) return;
    await nextTurn();
    last = performance.now();
  };
}
