// Counter-based random bits: a pure function of a key and an index, equal on every backend and after a resume.
// The mixer is lowbias32 (C. Wellons, "hash prospector").

/** Mixes 32 bits; input and output are unsigned. */
export function mix32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Folds integers (seed, step, stream, …) into one 32-bit key. */
export function foldKey(...parts: number[]): number {
  let key = 0x9e3779b9;
  for (const part of parts) key = mix32((key ^ (part >>> 0)) >>> 0);
  return key;
}

/** The 32 unsigned bits that a key's sequence has at a counter. */
export const bitsAt = (key: number, counter: number): number => mix32((key ^ mix32(counter + 0x85ebca6b)) >>> 0);

/** A sequential generator over the counter-based bits; `state` can be read and restored. */
export class Random {
  private counter = 0;
  constructor(private readonly key: number) {}
  static from(...parts: number[]): Random {
    return new Random(foldKey(...parts));
  }
  /** 32 unsigned bits. */
  bits(): number {
    return bitsAt(this.key, this.counter++);
  }
  /** A float in [0, 1). */
  float(): number {
    return this.bits() / 4294967296;
  }
  /** An integer in [0, n). */
  int(n: number): number {
    return Math.floor(this.float() * n);
  }
  /** A float in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.float();
  }
  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }
  /** A standard normal value (Box–Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.float())) * Math.cos(2 * Math.PI * this.float());
  }
  /** A new array in a random order (Fisher–Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const out = items.slice();
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}

/** Where item i of 0 … count − 1 goes in a shuffle of the key's, without a list: a Feistel network, walked until inside. */
export function permuted(i: number, count: number, key: number): number {
  let half = 1;
  while (4 ** half < count) half++;
  const mask = 2 ** half - 1;
  let at = i;
  do {
    let left = Math.floor(at / (mask + 1));
    let right = at & mask;
    for (let round = 0; round < 4; round++) {
      [left, right] = [right, left ^ (foldKey(key, round, right) & mask)];
    }
    at = left * (mask + 1) + right;
  } while (at >= count);
  return at;
}
