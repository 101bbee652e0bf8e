// The time, for "3 minutes ago" and running durations; ticks once a second while something shows it.
import { signal } from '@preact/signals';

export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
