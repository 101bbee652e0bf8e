// What a process prints, line by line, while it still goes to the terminal.
import { stripVTControlCharacters } from 'node:util';
import type { ConsoleLine } from './schema.ts';

/** Longer lines are cut; a progress bar that never ends its line would grow without end. */
const LONGEST = 8192;

/** Passes every line printed from now on to `take`; returns how to stop. */
export function captureConsole(take: (level: ConsoleLine['level'], line: string) => void): () => void {
  const stops = [capture(process.stdout, 'out', take), capture(process.stderr, 'err', take)];
  return () => {
    for (const stop of stops) stop();
  };
}

function capture(
  stream: NodeJS.WriteStream,
  level: ConsoleLine['level'],
  take: (level: ConsoleLine['level'], line: string) => void,
): () => void {
  const original = stream.write;
  let rest = '';
  const end = (line: string): void => {
    // A bar draws itself over and over in one line: its last state is what was read.
    const clean = stripVTControlCharacters(line.replace(/\r$/, '')).replace(/^.*\r/s, '');
    if (clean.trim() !== '') take(level, clean.slice(0, LONGEST));
  };
  const write = (chunk: string | Uint8Array, ...others: unknown[]): boolean => {
    const lines = (rest + (typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())).split('\n');
    rest = (lines.pop() as string).slice(-LONGEST);
    for (const line of lines) end(line);
    return Reflect.apply(original, stream, [chunk, ...others]) as boolean;
  };
  stream.write = write as typeof stream.write;
  return () => {
    if (rest !== '') end(rest);
    rest = '';
    // Another capture may have been laid over this one; then it has to stay.
    if (stream.write === write) stream.write = original;
  };
}
