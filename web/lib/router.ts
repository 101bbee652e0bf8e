// The page's address: a hash, so that the dashboard works under any path of any proxy. Run ids are always encoded.
import { computed, signal } from '@preact/signals';

export const TABS = ['charts', 'predictions', 'artifacts', 'config', 'system', 'console'] as const;
export type Tab = (typeof TABS)[number];

export type Route = { page: 'runs' } | { page: 'run'; ids: string[]; tab: Tab };

const hash = signal(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

export const route = computed(() => parseRoute(hash.value));

/** `#/runs/ID,ID/TAB`; anything else is the list of runs. */
function parseRoute(text: string): Route {
  const [page, list = '', tab] = text.replace(/^#\/?/, '').split('/');
  const ids = [...new Set(list.split(',').filter((id) => id !== ''))].flatMap((id) => decoded(id) ?? []);
  if (page !== 'runs' || ids.length === 0) return { page: 'runs' };
  return { page: 'run', ids, tab: TABS.find((name) => name === tab) ?? 'charts' };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

export function linkTo(ids: readonly string[], tab: Tab = 'charts'): string {
  return `#/runs/${ids.map(encodeURIComponent).join(',')}/${tab}`;
}

export const RUNS_LINK = '#/';

export function go(link: string): void {
  location.hash = link;
}
