// What is new on the server: versions of the list and of the runs on screen, from one event stream that mends itself.
import { computed, effect, signal } from '@preact/signals';
import { liveUrl } from './api.ts';
import { route } from './router.ts';

interface Versions {
  readonly list: number;
  readonly runs: Readonly<Record<string, number>>;
}

const versions = signal<Versions>({ list: 0, runs: {} });
/** Counts connections: a server started anew counts its versions anew. */
const connection = signal(0);
export const connected = signal(true);

export const listVersion = computed(() => `${connection.value}.${versions.value.list}`);
export const runVersion = (id: string): string => `${connection.value}.${versions.value.runs[id] ?? 0}`;

const watched = computed(() => (route.value.page === 'run' ? route.value.ids.join(',') : ''));
const RETRY_MS = 2000;

export function startLive(): void {
  effect(() => {
    const ids = watched.value.split(',').filter((id) => id !== '');
    let source: EventSource;
    let retry: number | undefined;
    const connect = (): void => {
      source = new EventSource(liveUrl(ids));
      source.addEventListener('versions', (event) => {
        if (!connected.peek()) connection.value = connection.peek() + 1;
        connected.value = true;
        versions.value = JSON.parse(event.data as string) as Versions;
      });
      source.addEventListener('error', () => {
        connected.value = false;
        // The browser tries again by itself unless the server refused outright.
        if (source.readyState === EventSource.CLOSED) retry = window.setTimeout(connect, RETRY_MS);
      });
    };
    connect();
    return () => {
      clearTimeout(retry);
      source.close();
    };
  });
}
