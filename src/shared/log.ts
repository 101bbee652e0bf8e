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

export interface BarOptions {
  /** What is done before the bar begins, and says nothing of its speed. */
  readonly from?: number;
  /** How the counts are written; as they are without it. */
  readonly format?: (count: number) => string;
}

/** A progress bar with rate and ETA on a terminal; on a pipe one line every ten seconds. */
export function bar(title: string, total: number, { from = 0, format = String }: BarOptions = {}): Bar {
  const start = Date.now();
  if (process.stderr.isTTY) {
    const single = new SingleBar({
      format: `${title} {bar} {value}/{total} {note} ETA {eta_formatted}`,
      stream: process.stderr,
      hideCursor: true,
      etaBuffer: 50,
      formatValue: (value, _options, kind) => (kind === 'value' || kind === 'total' ? format(value) : String(value)),
    });
    single.start(total, from, { note: '' });
    // An error or Ctrl-C in between must not leave the terminal without its cursor.
    const end = () => single.stop();
    process.once('exit', end);
    return {
      update: (done, note = '') => single.update(done, { note }),
      stop() {
        process.off('exit', end);
        end();
      },
    };
  }
  let last = start;
  let state = '';
  return {
    update(done, note = '') {
      const now = Date.now();
      const eta = done > from ? Math.round(((now - start) / (done - from)) * (total - done) * 1e-3) : 0;
      state = `${title} ${format(done)}/${format(total)} ${note}`;
      if (now - last > 10_000) {
        last = now;
        say(`${state} ETA ${eta}s`);
      }
    },
    stop() {
      if (state !== '') say(`${state} in ${((Date.now() - start) / 1000).toFixed(1)}s`);
    },
  };
}

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
