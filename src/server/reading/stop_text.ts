// Text up to the first of some stop texts, as it comes: what may be the beginning of one is held back.

export class StopText {
  private held = '';
  stopped = false;
  constructor(private readonly stops: readonly string[]) {}

  /** What of the text so far can be shown now. */
  push(text: string): string {
    if (this.stopped) return '';
    this.held += text;
    const found = this.stops.map((stop) => this.held.indexOf(stop)).filter((at) => at >= 0);
    this.stopped = found.length > 0;
    return this.show(this.stopped ? Math.min(...found) : this.held.length - this.begun());
  }

  /** What is left at the end. */
  flush(): string {
    return this.stopped ? '' : this.show(this.held.length);
  }

  private show(length: number): string {
    const text = this.held.slice(0, length);
    this.held = this.held.slice(length);
    return text;
  }

  /** Characters at the end that begin a stop text. */
  private begun(): number {
    const begins = (stop: string): number => {
      for (let n = Math.min(stop.length - 1, this.held.length); n > 0; n--)
        if (this.held.endsWith(stop.slice(0, n))) return n;
      return 0;
    };
    return Math.max(0, ...this.stops.map(begins));
  }
}
