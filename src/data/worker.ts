// One share of rows, on a worker thread or in process.
import { type Finished, type InspectOptions, inspect } from './inspect.ts';
import type { Item } from './source.ts';

export interface Share {
  readonly items: readonly Item[];
  /** the number of the first row, which names the images */
  readonly first: number;
  readonly options: InspectOptions;
}

/** Images under way at once; decoding itself runs on other threads. */
const AT_ONCE = 4;

const imageName = (row: number): string => String(row).padStart(6, '0');

export default async function finishShare({ items, first, options }: Share): Promise<Finished[]> {
  const finished: Finished[] = [];
  for (let i = 0; i < items.length; i += AT_ONCE) {
    const part = items.slice(i, i + AT_ONCE);
    finished.push(...(await Promise.all(part.map((item, k) => inspect(item, imageName(first + i + k), options)))));
  }
  return finished;
}
