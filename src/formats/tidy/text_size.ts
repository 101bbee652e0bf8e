// The size of the writing and where it stands, from the connected parts of its ink.
import type { Component } from './components.ts';

export interface Box {
  readonly left: number;
  readonly top: number;
  /** exclusive, as bottom */
  readonly right: number;
  readonly bottom: number;
}

export interface Writing {
  readonly box: Box;
  /** pixels */
  readonly em: number;
}

const width = ({ left, right }: Component): number => right - left;
const height = ({ top, bottom }: Component): number => bottom - top;

/** √(width · height) of the typical glyph in em: what 45 % of the ink lies in glyphs below, of 450 formulas in print. */
const TYPICAL_SIDE = 0.528;

/** In em: what is smaller than the first both ways is dust; than the second, a dot, and dust too unless near a glyph. */
const DUST = 0.06;
const DOT = 0.24;
const NEAR = 1.5;
/** Where all that is whole is so far, in em, from each side of the picture, what the sides cut is no part of it. */
const APART = 1;
/** What has less ink in its box is no glyph but a line: a root over a long formula, a frame. */
const THIN = 0.12;

/** Null where nothing is written. */
export function findWriting(parts: readonly Component[], picture: { width: number; height: number }): Writing | null {
  // Tables, edges of sheets and halves of other lines are cut by the sides of a photograph.
  const whole = parts.filter(
    ({ left, top, right, bottom }) => left > 0 && top > 0 && right < picture.width && bottom < picture.height,
  );
  const found = writingOf(whole);
  const room = APART * (found?.em ?? 0);
  const isApart =
    found !== null &&
    Math.min(found.box.left, found.box.top) >= room &&
    picture.width - found.box.right >= room &&
    picture.height - found.box.bottom >= room;
  return isApart ? found : writingOf(parts);
}

function writingOf(parts: readonly Component[]): Writing | null {
  if (parts.length === 0) return null;
  const em = sizeOf(parts);
  const side = (part: Component): number => Math.max(width(part), height(part)) / em;
  const large = parts.filter((part) => side(part) >= DOT);
  const box = boxAround(large);
  const dots = parts.filter((part) => side(part) >= DUST && side(part) < DOT && !contains(box, part));
  const near = dots.filter((dot) => large.some((part) => distance(part, dot) < NEAR * em));
  return { em, box: boxAround([...large, ...near]) };
}

/** The em by the typical glyph; bars and lines say nothing of it, and stand in only where there is nothing else. */
function sizeOf(parts: readonly Component[]): number {
  const glyphs = parts.filter((part) => {
    const [w, h] = [width(part), height(part)];
    return w < 4 * h && h < 5 * w && part.area > THIN * w * h;
  });
  const sizes = (glyphs.length > 0 ? glyphs : parts).map((part) => ({
    size: Math.sqrt(width(part) * height(part)),
    area: part.area,
  }));
  sizes.sort((a, b) => a.size - b.size);
  let left = sizes.reduce((sum, { area }) => sum + area, 0) * 0.45;
  let at = 0;
  for (left -= sizes[0]!.area; left > 0; left -= sizes[at]!.area) at++;
  return sizes[at]!.size / TYPICAL_SIDE;
}

const contains = (box: Box, { left, top, right, bottom }: Component): boolean =>
  left >= box.left && top >= box.top && right <= box.right && bottom <= box.bottom;

/** Between the nearest sides of two boxes, by the farther of the two directions. */
const distance = (a: Box, b: Box): number =>
  Math.max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom);

function boxAround(parts: readonly Component[]): Box {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const part of parts) {
    box.left = Math.min(box.left, part.left);
    box.top = Math.min(box.top, part.top);
    box.right = Math.max(box.right, part.right);
    box.bottom = Math.max(box.bottom, part.bottom);
  }
  return box;
}
