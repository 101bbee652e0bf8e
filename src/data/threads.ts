// Worker threads that do the tasks of one module: its default export takes a task and gives the result. Each has a queue of
// its own, so that the next task is there when one is done; beyond its messages a task costs nothing, where general pools
// measure memory at every one.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { RunError } from '../shared/errors.ts';

export interface Threads<T, R> {
  /** how many tasks can be done at once */
  readonly count: number;
  /** @param moved what goes to the thread instead of being copied */
  run(task: T, moved?: ArrayBuffer[]): Promise<R>;
  close(): Promise<void>;
}

/** What a thread says to a task. */
export type Answer = { readonly result: unknown } | { readonly error: unknown };

/**
 * Threads of the module `name`.js beside the caller, whose own URL is `beside`. With no threads, or where the caller runs
 * from TypeScript sources, which threads cannot, the work is done right here.
 */
export async function openThreads<T, R>(
  beside: string,
  name: string,
  threads: number,
  here: () => Promise<{ default: (task: T) => R | Promise<R> }>,
): Promise<Threads<T, R>> {
  if (threads === 0 || !beside.endsWith('.js')) {
    const { default: work } = await here();
    const run = async (task: T): Promise<R> => {
      // Work that waits for nothing would keep timers and signals waiting to its end.
      await nextTurn();
      return work(task);
    };
    return { count: 1, run, close: async () => {} };
  }
  const module = new URL(`./${name}.js`, beside).href;
  const all = Array.from({ length: threads }, () => new Thread<T, R>(module));
  return {
    count: threads,
    run: (task, moved) => all.reduce((one, other) => (other.waiting < one.waiting ? other : one)).run(task, moved),
    close: async () => {
      await Promise.all(all.map((thread) => thread.close()));
    },
  };
}

class Thread<T, R> {
  private readonly worker: Worker;
  private readonly pending: { resolve: (result: R) => void; reject: (error: unknown) => void }[] = [];
  private fault: unknown;

  constructor(module: string) {
    this.worker = new Worker(new URL('./thread.js', import.meta.url), { workerData: module });
    this.worker.on('message', (answer: Answer) => {
      const { resolve, reject } = this.pending.shift()!;
      if ('result' in answer) resolve(answer.result as R);
      else reject(answer.error);
    });
    this.worker.once('error', (error) => this.fail(error));
    this.worker.once('exit', (code) => this.fail(new RunError(`a worker thread ended with code ${code}.`)));
  }

  get waiting(): number {
    return this.pending.length;
  }

  run(task: T, moved: ArrayBuffer[] = []): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.fault !== undefined) return reject(this.fault);
      this.pending.push({ resolve, reject });
      this.worker.postMessage(task, moved);
    });
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  private fail(error: unknown): void {
    this.fault ??= error;
    for (const { reject } of this.pending.splice(0)) reject(this.fault);
  }
}

const buffersOf = new WeakMap<object, readonly ArrayBuffer[]>();

/** A result whose buffers move to the caller's thread; on the caller's own, nothing is moved. */
export function movedResult<R extends object>(result: R, buffers: readonly ArrayBuffer[]): R {
  buffersOf.set(result, buffers);
  return result;
}

export const movedWith = (result: unknown): readonly ArrayBuffer[] =>
  (typeof result === 'object' && result !== null && buffersOf.get(result)) || [];
