// Text that ends before a stop text, however it is cut into pieces.
import { expect, it } from 'vitest';
import { StopText } from './stop_text.ts';

function written(stops: string[], pieces: string[]): { shown: string[]; stopped: boolean } {
  const until = new StopText(stops);
  return { shown: [...pieces.map((piece) => until.push(piece)), until.flush()], stopped: until.stopped };
}

it.each<[string[], string[], string[], boolean]>([
  [[], ['a', 'b'], ['a', 'b', ''], false],
  [['='], ['a ', '= b', 'c'], ['a ', '', '', ''], true],
  // What may begin a stop text is held back until it is clear.
  [['\\\\'], ['a\\', 'beta'], ['a', '\\beta', ''], false],
  [['\\\\'], ['a\\', '\\ b'], ['a', '', ''], true],
  [['aab'], ['aa', 'ab'], ['', 'a', ''], true],
  [['xyz'], ['x', 'y'], ['', '', 'xy'], false],
  // The first in the text, not the first of the list.
  [['c', 'b'], ['abc'], ['a', ''], true],
])('up to %j, %j is shown as %j', (stops, pieces, shown, stopped) => {
  expect(written(stops, pieces)).toEqual({ shown, stopped });
});
