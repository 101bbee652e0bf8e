// What prepare.json tells of a data set: histograms of picture sizes and label lengths, and what was left out and why.

/** Counts in bins of equal width; the key is the bin's lower end. */
class Histogram {
  private readonly bins = new Map<number, number>();
  constructor(private readonly step: number) {}

  add(value: number): void {
    const bin = Math.floor(value / this.step) * this.step;
    this.bins.set(bin, (this.bins.get(bin) ?? 0) + 1);
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries([...this.bins].sort(([a], [b]) => a - b));
  }
}

const MAX_EXAMPLES = 5;

export class Statistics {
  private readonly width = new Histogram(50);
  private readonly height = new Histogram(10);
  private readonly characters = new Histogram(25);
  private readonly words = new Histogram(5);
  private readonly drops = new Map<string, { count: number; examples: string[] }>();

  add(text: string, width: number, height: number): void {
    this.width.add(width);
    this.height.add(height);
    this.characters.add(text.length);
    this.words.add(text.trim().split(/\s+/).length);
  }

  drop(reason: string, detail: string): void {
    const entry = this.drops.get(reason) ?? { count: 0, examples: [] };
    entry.count++;
    if (entry.examples.length < MAX_EXAMPLES) entry.examples.push(detail);
    this.drops.set(reason, entry);
  }

  dropped(): Record<string, number> {
    return Object.fromEntries([...this.drops].map(([reason, { count }]) => [reason, count]));
  }

  /** Reasons with their first example, for an error message. */
  dropText(): string {
    return [...this.drops].map(([reason, { count, examples }]) => `${count} × ${reason} (${examples[0]})`).join('; ');
  }

  summary(): object {
    return {
      drops: Object.fromEntries(this.drops),
      histograms: {
        width: this.width.toJSON(),
        height: this.height.toJSON(),
        labelCharacters: this.characters.toJSON(),
        labelWords: this.words.toJSON(),
      },
    };
  }
}
