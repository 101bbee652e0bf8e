// The glyphs met so far, by number: a font has few, and formulas refer to them by number.
const numbers = new Map<string, number>();
const paths: string[] = [];

/** The number of a glyph, by its outline as SVG path data in its own units. */
export function glyphOf(path: string): number {
  let glyph = numbers.get(path);
  if (glyph === undefined) {
    glyph = paths.length;
    numbers.set(path, glyph);
    paths.push(path);
  }
  return glyph;
}

export function pathOf(glyph: number): string {
  return paths[glyph]!;
}

/** A unit square, of which fraction bars and rules are made. */
export const BAR = glyphOf('M0 0L1 0L1 1L0 1Z');
