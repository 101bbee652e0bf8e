// Images within requests: what is base64, and that a hostile text is turned away at once, for the server does nothing meanwhile.
import { expect, it } from 'vitest';
import { imageOfUrl } from './data_url.ts';
import { RequestFault } from './fault.ts';

const image = (text: string): string => Buffer.from(imageOfUrl(`data:image/png;base64,${text}`, 'url')).toString();

it('takes base64 with or without padding, in one line or several', () => {
  for (const text of ['aGVsbG8=', 'aGVsbG8', 'aGVs\r\nbG8=\n', ' aGVsbG8= ']) expect(image(text)).toBe('hello');
});

it.each(['', ' \n', '=', 'aGV%bG8', 'aGVs=bG8', 'aGVs= bG8', 'aGVsbG8=!'])('refuses %j', (text) => {
  expect(() => image(text)).toThrow(RequestFault);
});

it.each([
  ['blanks', ' '],
  ['padding', '='],
  ['padding apart', '= '],
])('refuses megabytes of %s at once', (_, unit) => {
  const started = performance.now();
  expect(() => image(`A${unit.repeat(2 ** 21)}!`)).toThrow(RequestFault);
  // Some tens of milliseconds; in the square of the length it would be an hour.
  expect(performance.now() - started).toBeLessThan(5000);
});
