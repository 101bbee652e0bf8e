// What prepare.json tells of a data set: what was left out, what was kept and flagged, and histograms of picture sizes
// and label lengths. Memory holds the finished rows, some hundred bytes each.
import { type Finished, INVALID_LABEL, type Kept } from './inspect.ts';

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
const MAX_EXAMPLE = 300;

export interface Tally {
  readonly count: number;
  /** the first few */
  readonly examples: readonly string[];
}

/** Counts by reason, with examples. */
class Tallies {
  private readonly tallies = new Map<string, { count: number; examples: string[] }>();

  add(reason: string, example: string): void {
    const entry = this.tallies.get(reason) ?? { count: 0, examples: [] };
    entry.count++;
    if (entry.examples.length < MAX_EXAMPLES) entry.examples.push(printable(example));
    this.tallies.set(reason, entry);
  }

  counts(): Record<string, number> {
    return Object.fromEntries([...this.tallies].map(([reason, { count }]) => [reason, count]));
  }

  toJSON(): Record<string, Tally> {
    return Object.fromEntries(this.tallies);
  }
}

/** Text from a data set may hold what writes to a terminal, or be very long. */
function printable(text: string): string {
  const cut = text.length > MAX_EXAMPLE ? `${text.slice(0, MAX_EXAMPLE)}…` : text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return cut.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export class Statistics {
  private readonly width = new Histogram(50);
  private readonly height = new Histogram(10);
  private readonly characters = new Histogram(25);
  private readonly words = new Histogram(5);
  readonly drops = new Tallies();
  readonly flags = new Tallies();
  normalized = 0;
  /** pixels → the first sample that has them */
  private readonly first = new Map<string, Kept>();
  /** pixels and label of the samples that repeat a picture under another label */
  private readonly others = new Set<string>();

  /** Takes in the rows in their order. */
  add(row: Finished): void {
    if ('dropped' in row) {
      this.drops.add(row.dropped, row.detail);
      return;
    }
    const { file, text, pixels } = row;
    this.width.add(row.width);
    this.height.add(row.height);
    this.characters.add(text.length);
    this.words.add(text.trim().split(/\s+/).length);
    if (row.normalized) this.normalized++;
    if (row.invalid !== undefined) this.flags.add(INVALID_LABEL, `${file}: ${row.invalid}`);
    const first = this.first.get(pixels);
    if (first === undefined) this.first.set(pixels, row);
    else if (first.text === text || this.others.has(`${pixels} ${text}`))
      this.flags.add('exact duplicate', `${file} is ${first.file} again`);
    else {
      this.others.add(`${pixels} ${text}`);
      this.flags.add('same image, another label', `${file} and ${first.file}`);
    }
  }

  /** Reasons of drops with their first example, for an error message. */
  dropText(): string {
    return Object.entries(this.drops.toJSON())
      .map(([reason, { count, examples }]) => `${count} × ${reason} (${examples[0]})`)
      .join('; ');
  }

  summary(): object {
    return {
      drops: this.drops,
      flags: this.flags,
      histograms: {
        width: this.width,
        height: this.height,
        labelCharacters: this.characters,
        labelWords: this.words,
      },
    };
  }
}
