// The dashboard: the page that the address names, and the keys of all of them.
import { t } from '../i18n/index.ts';
import { go, RUNS_LINK, route } from '../lib/router.ts';
import { RunPage } from '../run/run_page.tsx';
import { RunsPage } from '../runs/runs_page.tsx';
import { Connection } from './connection.tsx';
import { Frame } from './frame.tsx';
import type { KeyRows } from './shortcuts.tsx';
import { useShortcuts } from './use_shortcuts.ts';

export function App() {
  const place = route.value;
  useShortcuts({
    '/': () => document.querySelector<HTMLInputElement>('input[type="search"]')?.focus(),
    u: () => go(RUNS_LINK),
  });
  const words = t.value.shortcuts;
  const keys: KeyRows = [
    [['/'], words.search],
    [['↑', '↓'], words.rows],
    [['Enter'], words.open],
    [['x'], words.select],
    [['c'], words.compare],
    [['1', '…', '6'], words.tabs],
    [['u'], words.back],
    [['←', '→'], words.evaluations],
    [['+', '−', '←', '→', '0'], words.zoom],
  ];
  return (
    <Frame
      home={RUNS_LINK}
      status={<Connection />}
      keys={keys}
      place={place.page === 'runs' ? 'runs' : place.ids.join()}
    >
      {place.page === 'runs' ? <RunsPage /> : <RunPage ids={place.ids} tab={place.tab} />}
    </Frame>
  );
}
