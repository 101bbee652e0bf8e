// A formula as it is kept after typesetting: glyphs and where they go, in font units (1000 to the em, y upwards).
import type { Box } from './geometry.ts';
import { outlineOf } from './outline.ts';

export interface Typeset {
  /** five numbers a piece: its glyph, scale x, scale y, x, y; a bar is the glyph BAR, a unit square */
  readonly pieces: Float32Array;
  /** boxes that cut pieces of stretched delimiters, by the piece's number */
  readonly cuts: ReadonlyMap<number, Box> | undefined;
}

/** Numbers a piece. */
export const STRIDE = 5;

/** Both formulas, the second moved by x and y. */
export function joined(first: Typeset, second: Typeset, x: number, y: number): Typeset {
  const pieces = new Float32Array(first.pieces.length + second.pieces.length);
  pieces.set(first.pieces);
  pieces.set(second.pieces, first.pieces.length);
  for (let at = first.pieces.length; at < pieces.length; at += STRIDE) {
    pieces[at + 3]! += x;
    pieces[at + 4]! += y;
  }
  const cuts = new Map(first.cuts);
  for (const [i, { left, bottom, right, top }] of second.cuts ?? []) {
    const moved = { left: left + x, bottom: bottom + y, right: right + x, top: top + y };
    cuts.set(first.pieces.length / STRIDE + i, moved);
  }
  return { pieces, cuts: cuts.size > 0 ? cuts : undefined };
}

/** The box round the ink of piece number i. */
export function boxOf({ pieces, cuts }: Typeset, i: number): Box {
  const at = i * STRIDE;
  const { left, bottom, right, top } = outlineOf(pieces[at]!).box;
  const scaleX = pieces[at + 1]!;
  const scaleY = pieces[at + 2]!;
  const x = pieces[at + 3]!;
  const y = pieces[at + 4]!;
  const box = {
    left: scaleX * left + x,
    right: scaleX * right + x,
    bottom: scaleY * bottom + y,
    top: scaleY * top + y,
  };
  const cut = cuts?.get(i);
  if (cut === undefined) return box;
  return {
    left: Math.max(box.left, cut.left),
    right: Math.min(box.right, cut.right),
    bottom: Math.max(box.bottom, cut.bottom),
    top: Math.min(box.top, cut.top),
  };
}

/** The box round the ink of the whole formula; one without ink has none. */
export function inkBox(formula: Typeset): Box | undefined {
  let [left, bottom, right, top] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < formula.pieces.length / STRIDE; i++) {
    const box = boxOf(formula, i);
    left = Math.min(left, box.left);
    right = Math.max(right, box.right);
    bottom = Math.min(bottom, box.bottom);
    top = Math.max(top, box.top);
  }
  return right > left && top > bottom ? { left, bottom, right, top } : undefined;
}
