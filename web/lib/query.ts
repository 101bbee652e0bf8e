// Loads from the server for one component: the old answer stays on screen while a newer one is fetched, requests never
// overlap or pile up, and a fault becomes a value with a way to try again.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

export interface Query<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly retry: () => void;
}

interface State<T> {
  identity: string | null;
  data?: T;
  error?: unknown;
}

/**
 * `identity` names what is loaded (null: nothing yet); another one drops the old answer unless `keep`. Another `version`
 * fetches again, once the request under way has ended and `interval` milliseconds after its start at the earliest.
 */
export function useQuery<T>(
  identity: string | null,
  version: string | number,
  load: (signal: AbortSignal) => Promise<T>,
  { keep = false, interval = 1000 } = {},
): Query<T> {
  const [state, setState] = useState<State<T>>({ identity: null });
  const latest = useRef(load);
  latest.current = load;
  const refresh = useRef<() => void>(() => {});

  useEffect(() => {
    if (identity === null) return;
    const abort = new AbortController();
    let startedAt = Number.NEGATIVE_INFINITY;
    let stale = true;
    let running = false;
    let timer: number | undefined;
    const run = async (): Promise<void> => {
      timer = undefined;
      running = true;
      stale = false;
      startedAt = performance.now();
      let next: State<T>;
      try {
        next = { identity, data: await latest.current(abort.signal) };
      } catch (error) {
        next = { identity, error };
      }
      if (abort.signal.aborted) return;
      setState((old) => (next.error !== undefined && old.identity === identity ? { ...next, data: old.data } : next));
      running = false;
      schedule();
    };
    const schedule = (): void => {
      if (!stale || running || timer !== undefined) return;
      timer = window.setTimeout(() => void run(), Math.max(0, startedAt + interval - performance.now()));
    };
    refresh.current = () => {
      stale = true;
      schedule();
    };
    schedule();
    return () => {
      refresh.current = () => {};
      clearTimeout(timer);
      abort.abort();
    };
  }, [identity, interval]);

  // The version is the trigger, not an ingredient.
  useEffect(() => refresh.current(), [version]);

  const retry = useCallback(() => refresh.current(), []);
  const current = state.identity === identity;
  return { data: current || keep ? state.data : undefined, error: current ? state.error : undefined, retry };
}
