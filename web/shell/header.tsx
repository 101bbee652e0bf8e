// The bar on top: home, how things stand, language, theme, help.
import type { ComponentChildren } from 'preact';
import { switchLanguage, t } from '../i18n/index.ts';
import { dark, THEMES, theme } from '../lib/theme.ts';
import './header.css';

interface HeaderProps {
  home: string;
  status: ComponentChildren;
  onHelp: () => void;
}

export function Header({ home, status, onHelp }: HeaderProps) {
  const words = t.value;
  const nextTheme = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  return (
    <header class="top">
      <a class="brand" href={home}>
        <img src="icon.svg" alt="" width="22" height="22" />
        texlens
      </a>
      <span class="grow" />
      {status}
      <button
        type="button"
        class="plain"
        onClick={switchLanguage}
        aria-label={words.switchLanguageHint}
        data-testid="language"
      >
        {words.switchLanguage}
      </button>
      <button
        type="button"
        class="plain"
        onClick={() => {
          theme.value = nextTheme;
        }}
        aria-label={`${words.theme.label}: ${words.theme[theme.value]}`}
        title={words.theme.label}
      >
        <span aria-hidden="true">{theme.value === 'system' ? '◐' : dark.value ? '☾' : '☼'}</span>
        <span class="wide-only">{words.theme[theme.value]}</span>
      </button>
      <button
        type="button"
        class="plain icon"
        onClick={onHelp}
        aria-label={words.shortcuts.title}
        title={words.shortcuts.title}
      >
        ?
      </button>
    </header>
  );
}
