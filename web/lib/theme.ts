// Light, dark or as the system says. The stylesheet reads `data-theme`; charts redraw when `dark` changes.
import { computed, effect, signal } from '@preact/signals';
import { oneOf, stored } from './stored.ts';

export const THEMES = ['system', 'light', 'dark'] as const;
export const theme = stored<(typeof THEMES)[number]>('theme', 'system', oneOf(...THEMES));

const query = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(query.matches);
query.addEventListener('change', (event) => {
  systemDark.value = event.matches;
});

export const dark = computed(() => theme.value === 'dark' || (theme.value === 'system' && systemDark.value));

effect(() => {
  document.documentElement.dataset.theme = dark.value ? 'dark' : 'light';
});
