// Typeset formulas of this thread, as many as fit a bound; the one used longest ago goes first.
import { InputError, messageOf } from '../../shared/errors.ts';
import { STRIDE, type Typeset } from './placed.ts';
import { type Font, typeset } from './typeset.ts';

/** For each thread: the layouts of 60,000 formulas of 70 glyphs, and their strings. */
const LIMIT_BYTES = 96 << 20;
/** Of a map's entry, an object and its array. */
const ENTRY_BYTES = 250;

/** Why a formula cannot be set. */
export interface Fault {
  readonly fault: string;
}

const kept = new Map<string, Typeset | Fault>();
let bytes = 0;

/** The formula set in a font, or why it cannot be; nothing is kept of it. */
export async function typesetAnew(latex: string, font: Font): Promise<Typeset | Fault> {
  try {
    return await typeset(latex, font);
  } catch (error) {
    if (error instanceof InputError) return { fault: messageOf(error) };
    throw error;
  }
}

/** The same, kept for the next time. */
export async function typesetOnce(latex: string, font: Font): Promise<Typeset | Fault> {
  const key = `${font}:${latex}`;
  let entry = kept.get(key);
  if (entry !== undefined) {
    // To the end of the map's order: it is the latest used.
    kept.delete(key);
    kept.set(key, entry);
    return entry;
  }
  entry = await typesetAnew(latex, font);
  if (!kept.has(key)) bytes += sizeOf(key, entry);
  kept.set(key, entry);
  for (const [oldest, its] of kept) {
    if (bytes <= LIMIT_BYTES) break;
    kept.delete(oldest);
    bytes -= sizeOf(oldest, its);
  }
  return entry;
}

function sizeOf(key: string, entry: Typeset | Fault): number {
  const pieces =
    'fault' in entry ? 2 * entry.fault.length : entry.pieces.byteLength + STRIDE * 16 * (entry.cuts?.size ?? 0);
  return ENTRY_BYTES + 2 * key.length + pieces;
}
