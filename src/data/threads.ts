// Worker threads that do the tasks of one module: its default export takes a task and gives the result.
import Tinypool from 'tinypool';

export interface Threads<T, R> {
  /** how many tasks can be done at once */
  readonly count: number;
  /** @param moved what goes to the thread instead of being copied */
  run(task: T, moved?: ArrayBuffer[]): Promise<R>;
  close(): Promise<void>;
}

/** Tasks that a thread holds: one at work and those that wait beside it. */
const TASKS_EACH = 2;

/**
 * Threads of the module `name`.js beside the caller, whose own URL is `beside`. With no threads, or where the caller runs
 * from TypeScript sources, which threads cannot, the work is done right here.
 */
export async function openThreads<T, R>(
  beside: string,
  name: string,
  threads: number,
  here: () => Promise<{ default: (task: T) => Promise<R> }>,
  tasksEach = TASKS_EACH,
): Promise<Threads<T, R>> {
  if (threads === 0 || !beside.endsWith('.js')) {
    const { default: work } = await here();
    return { count: 1, run: work, close: async () => {} };
  }
  const pool = new Tinypool({
    filename: new URL(`./${name}.js`, beside).href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: tasksEach,
  });
  return {
    count: threads,
    run: (task, moved) => pool.run(task, { transferList: moved }) as Promise<R>,
    close: () => pool.destroy(),
  };
}

/** A result whose buffers move to the caller's thread. */
export function movedResult<R>(result: R, buffers: readonly ArrayBuffer[]): R {
  // On the thread that made it, nothing is moved, and the result is read as it is.
  Object.defineProperty(result, Tinypool.transferableSymbol, { value: buffers });
  Object.defineProperty(result, Tinypool.valueSymbol, { value: result });
  return Tinypool.move(result as never) as R;
}
