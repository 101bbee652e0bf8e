// An engine in a thread of its own, for a model that computes holds the event loop of its thread, and a server must
// answer meanwhile.
import { Worker } from 'node:worker_threads';
import { InputError, messageOf, RunError } from '../../shared/errors.ts';
import { say } from '../../shared/log.ts';
import type { ReaderOptions } from '../../train/reader.ts';
import type { Engine, Fault, Listener, Outcome, Question, Sampling } from './contract.ts';
import { openEngine } from './engine.ts';

/** What goes to the thread: one batch, and the next one when it has answered. */
export interface Batch {
  readonly questions: readonly Question[];
  readonly samplings: readonly Sampling[];
}

/** What the thread says: that it is ready, then of each batch what a listener hears, and that it is done. */
export type Word =
  | Pick<Engine, 'device'>
  | { readonly index: number; readonly text: string }
  | { readonly index: number; readonly outcome: Outcome }
  | { readonly done: true }
  | Fault;

/** The exit code of Ctrl-C. */
const INTERRUPTED = 130;

/** Where the caller runs from TypeScript sources, which threads cannot, the engine is in the caller's own thread. */
export async function openEngineThread(options: ReaderOptions): Promise<Engine> {
  if (!import.meta.url.endsWith('.js')) return openEngine(options);
  const worker = new Worker(new URL('./engine_worker.js', import.meta.url), { workerData: options });
  let alive = true;
  // A thread that is ended within the runtime's own code aborts the process: an interrupted one ends by its signal.
  const leave = (code: number): void => {
    if (code !== INTERRUPTED) return;
    process.removeAllListeners('SIGINT');
    process.kill(process.pid, 'SIGINT');
  };
  process.on('exit', leave);
  worker.once('exit', () => {
    alive = false;
    process.off('exit', leave);
  });
  // Who waits for an answer hears of it too.
  worker.on('error', (error) => say(`the model's thread has ended: ${messageOf(error)}`));
  /** Waits for the word that ends what was asked; the listener hears those before it. */
  const hear = <T extends Word>(ends: (word: Word) => word is T, listener?: Listener) =>
    new Promise<T>((resolve, reject) => {
      const done = (settle: () => void): void => {
        worker.off('message', onMessage).off('error', onError).off('exit', onExit);
        settle();
      };
      const onMessage = (word: Word): void => {
        if ('fault' in word) {
          const { fault, input } = word;
          done(() => reject(input ? new InputError(fault) : new RunError(fault)));
        } else if (ends(word)) done(() => resolve(word));
        else if ('text' in word) listener?.text(word.index, word.text);
        else if ('outcome' in word) listener?.outcome(word.index, word.outcome);
      };
      const onError = (error: unknown): void => done(() => reject(error));
      const onExit = (code: number): void =>
        done(() => reject(new RunError(`the thread of the model ended with code ${code}; start texlens serve again.`)));
      worker.on('message', onMessage).on('error', onError).on('exit', onExit);
      if (!alive) onExit(1);
    });
  const { device } = await hear((word) => 'device' in word);
  return {
    device,
    get alive() {
      return alive;
    },
    async read(questions, samplings, listener) {
      const batch: Batch = { questions, samplings };
      worker.postMessage(batch);
      await hear((word) => 'done' in word, listener);
    },
    close: async () => {
      await worker.terminate();
    },
  };
}
