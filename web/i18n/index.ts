// Which language the page speaks: the reader's choice, else the browser's first language; `t` is its dictionary.
import { computed, effect } from '@preact/signals';
import { oneOf, stored } from '../lib/stored.ts';
import { en } from './en.ts';
import { zh } from './zh.ts';

const LANGUAGES = { en, zh } as const;
export type Language = keyof typeof LANGUAGES;

const preferred: Language = navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
export const language = stored<Language>('language', preferred, oneOf('en', 'zh'));

export const t = computed(() => LANGUAGES[language.value]);

export function switchLanguage(): void {
  language.value = language.value === 'en' ? 'zh' : 'en';
}

effect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en';
});
