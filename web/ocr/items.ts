// The pictures of this page and what was read of them, newest first; kept in memory alone.
import { type Signal, signal } from '@preact/signals';
import { type Reading, readPicture } from './reading_api.ts';

export interface Item {
  readonly id: number;
  readonly file: File;
  /** of the picture: blob:… */
  readonly url: string;
  readonly state: Signal<State>;
  /** as it is read, then as the reader of the page changes it */
  readonly latex: Signal<string>;
  readonly abort: AbortController;
}

export type State =
  | { readonly is: 'waiting' | 'reading' }
  | { readonly is: 'read'; readonly reading: Reading }
  | { readonly is: 'failed'; readonly error: unknown };

export const items = signal<readonly Item[]>([]);

let made = 0;

/** Puts pictures on the list, and reads them. */
export function addFiles(files: readonly File[]): void {
  const fresh = files.map((file) => ({
    id: made++,
    file,
    url: URL.createObjectURL(file),
    state: signal<State>({ is: 'waiting' }),
    latex: signal(''),
    abort: new AbortController(),
  }));
  items.value = [...fresh.toReversed(), ...items.value];
  for (const item of fresh) void read(item);
}

export function removeItem(item: Item): void {
  item.abort.abort();
  URL.revokeObjectURL(item.url);
  items.value = items.value.filter((other) => other !== item);
}

export function clearItems(): void {
  for (const item of items.value) removeItem(item);
}

/** Connections at once: a browser has six, and one is for what else the page asks. */
const AT_ONCE = 5;
let free = AT_ONCE;
const line: (() => void)[] = [];

export async function read(item: Item): Promise<void> {
  item.state.value = { is: 'waiting' };
  item.latex.value = '';
  if (free > 0) free--;
  else await new Promise<void>((go) => line.push(go));
  try {
    const reading = await readPicture(item.file, item.abort.signal, (text) => {
      item.state.value = { is: 'reading' };
      item.latex.value += text;
    });
    item.latex.value = reading.latex;
    item.state.value = { is: 'read', reading };
  } catch (error) {
    item.state.value = { is: 'failed', error };
  } finally {
    const next = line.shift();
    if (next) next();
    else free++;
  }
}
