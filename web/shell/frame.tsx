// The frame of every page: header, help, the content, and what happens when that breaks.
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import './base.css';
import './app.css';
import { Header } from './header.tsx';
import { Notice } from './notice.tsx';
import { type KeyRows, Shortcuts } from './shortcuts.tsx';
import { useShortcuts } from './use_shortcuts.ts';

interface FrameProps {
  home: string;
  /** what the header says of the server */
  status: ComponentChildren;
  /** what the help lists, beside the help itself */
  keys: KeyRows;
  /** another one is another page: what broke the last one is forgotten */
  place: string;
  children: ComponentChildren;
}

export function Frame({ home, status, keys, place, children }: FrameProps) {
  const [help, setHelp] = useState(false);
  useShortcuts({ '?': () => setHelp(true) });
  const words = t.value;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        {words.skipToContent}
      </button>
      <Header home={home} status={status} onHelp={() => setHelp(true)} />
      <main id="main" tabIndex={-1}>
        <Boundary key={place}>{children}</Boundary>
      </main>
      {help && <Shortcuts rows={[...keys, [['?'], words.shortcuts.help]]} onClose={() => setHelp(false)} />}
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
