// The latest times that answers took, and their percentiles.

const KEPT = 1000;

export class Latencies {
  private readonly times: number[] = [];
  private next = 0;

  add(milliseconds: number): void {
    this.times[this.next] = milliseconds;
    this.next = (this.next + 1) % KEPT;
  }

  /** Nearest rank; null where nothing was answered yet. */
  percentile(share: number): number | null {
    const sorted = this.times.toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  }
}
