// Human text goes to stderr, so that stdout holds results alone.
import { SingleBar } from 'cli-progress';

/** A line for the person at the terminal. */
export function say(line = ''): void {
  process.stderr.write(`${line}\n`);
}

export interface Bar {
  /** Sets the finished count and the text at the end of the bar. */
  update(done: number, note?: string): void;
  stop(): void;
}

/** A progress bar with rate and ETA on a terminal; on a pipe one line every ten seconds. */
export function bar(title: string, total: number): Bar {
  const start = Date.now();
  if (process.stderr.isTTY) {
    const single = new SingleBar({
      format: `${title} {bar} {value}/{total} {note} ETA {eta_formatted}`,
      stream: process.stderr,
      hideCursor: true,
      etaBuffer: 50,
    });
    single.start(total, 0, { note: '' });
    return {
      update: (done, note = '') => single.update(done, { note }),
      stop: () => single.stop(),
    };
  }
  let last = start;
  let state = '';
  return {
    update(done, note = '') {
      const now = Date.now();
      const eta = done > 0 ? Math.round(((now - start) / done) * (total - done) * 1e-3) : 0;
      state = `${title} ${done}/${total} ${note}`;
      if (now - last > 10_000) {
        last = now;
        say(`${state} ETA ${eta}s`);
      }
    },
    stop: () => say(`${state} in ${((Date.now() - start) / 1000).toFixed(1)}s`),
  };
}
