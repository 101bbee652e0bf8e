// The frame: header, the page that the address names, and what happens when a page breaks.
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { go, RUNS_LINK, route } from '../lib/router.ts';
import { RunPage } from '../run/run_page.tsx';
import { RunsPage } from '../runs/runs_page.tsx';
import './base.css';
import './app.css';
import { Header } from './header.tsx';
import { Notice } from './notice.tsx';
import { Shortcuts } from './shortcuts.tsx';
import { useShortcuts } from './use_shortcuts.ts';

export function App() {
  const [help, setHelp] = useState(false);
  const place = route.value;
  useShortcuts({
    '?': () => setHelp(true),
    '/': () => document.querySelector<HTMLInputElement>('input[type="search"]')?.focus(),
    u: () => go(RUNS_LINK),
  });
  const words = t.value;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        {words.skipToContent}
      </button>
      <Header onHelp={() => setHelp(true)} />
      <main id="main" tabIndex={-1}>
        <Boundary key={place.page === 'runs' ? 'runs' : place.ids.join()}>
          {place.page === 'runs' ? <RunsPage /> : <RunPage ids={place.ids} tab={place.tab} />}
        </Boundary>
      </main>
      {help && <Shortcuts onClose={() => setHelp(false)} />}
    </>
  );
}

/** Keeps the header when a page throws, and says what was thrown. */
class Boundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: null as unknown };
  static override getDerivedStateFromError = (error: unknown) => ({ error });
  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return <Broken error={error} />;
  }
}

function Broken({ error }: { error: unknown }) {
  useEffect(() => console.error(error), [error]);
  return (
    <Notice kind="error" title={t.value.crashedTitle}>
      <p>{t.value.crashedHint}</p>
      <pre>{error instanceof Error ? error.message : String(error)}</pre>
    </Notice>
  );
}
