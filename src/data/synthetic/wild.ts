// The style set `wild`: formulas as they are met in files, on screens, in scans and photographs, and by hand. A third are
// what a LaTeX renderer gives, at the sizes it gives; each of the others has a few faults of its kind.
import type { Random } from '../../shared/random.ts';
import { type Colour, type Look, often, PLAIN, penAndPaper, type Surroundings } from './look.ts';

type Kind = 'clean' | 'screen' | 'scan' | 'photo' | 'hand';
const SHARES: Readonly<Record<Kind, number>> = { clean: 0.38, screen: 0.22, scan: 0.13, photo: 0.1, hand: 0.17 };

export function wildLook(random: Random): Look {
  const kind = kindOf(random.float());
  // Pens and cameras leave nothing readable of the smallest sizes.
  const fontPx = Math.max(drawFontPx(random), kind === 'hand' ? 15 : kind === 'photo' ? 13 : 0);
  const paper: Look = {
    ...PLAIN,
    fontPx,
    font: random.float() < 0.15 ? 'times' : 'modern',
    margins: drawMargins(random, fontPx),
    surroundings: drawSurroundings(random),
  };
  switch (kind) {
    case 'clean':
      return { ...paper, ...rendered(random), ...resampled(random, 0.35) };
    case 'screen':
      return { ...paper, ...rendered(random), ...resampled(random, 0.4), ...coloured(random) };
    case 'scan':
      return { ...paper, ...resampled(random, 0.3), ...scanned(random, fontPx) };
    case 'photo':
      return { ...paper, ...scanned(random, fontPx), ...photographed(random, fontPx) };
    case 'hand':
      return { ...paper, ...resampled(random, 0.2), ...byHand(random) };
  }
}

function kindOf(x: number): Kind {
  let left = x;
  for (const [kind, share] of Object.entries(SHARES) as [Kind, number][]) {
    left -= share;
    if (left < 0) return kind;
  }
  return 'clean';
}

/** From 9 to 34 pixels to the em: 10 points at 100 dots an inch are 14, at twice that 28. */
function drawFontPx(random: Random): number {
  const x = random.float();
  if (x < 0.1) return random.range(9, 11);
  return x < 0.8 ? random.range(11, 22) : random.range(22, 34);
}

/** A tight crop, an ordinary one, or one that is far off. */
function drawMargins(random: Random, em: number): Look['margins'] {
  const x = random.float();
  const around = (low: number, high: number): Look['margins'] => [
    random.range(low, high),
    random.range(low, high),
    random.range(low, high),
    random.range(low, high),
  ];
  if (x < 0.15) return around(0, 1.5);
  if (x < 0.9) {
    const even = random.range(2, 0.6 * em);
    return random.float() < 0.6 ? [even, even, even, even] : around(0, 0.9 * em);
  }
  return around(0.6 * em, 3 * em);
}

/**
 * Renderers differ in stroke weight and in the grey of half-covered pixels. TeX's own Type 1 fonts as Ghostscript draws
 * them at 100 dots an inch are lighter than MathJax's by about 4 on each side (docs/log.md).
 */
function rendered(random: Random): Partial<Look> {
  return {
    weight: random.float() < 0.6 ? random.range(-8, 1) : random.range(-2, 7),
    gamma: random.float() < 0.5 ? random.range(0.75, 1.35) : 1,
  };
}

/** Drawn larger and shrunk, or smaller and enlarged. */
function resampled(random: Random, share: number): Partial<Look> {
  if (random.float() >= share) return {};
  return {
    drawnAt: random.float() < 0.7 ? random.range(1.1, 2.2) : random.range(0.55, 0.95),
    kernel: random.float() < 0.5 ? 'triangle' : 'cubic',
  };
}

/** Ink on paper as a screen has it: often light on dark, often coloured. */
function coloured(random: Random): Partial<Look> {
  const grey = (low: number, high: number): Colour => {
    const value = Math.round(random.range(low, high));
    return [value, value, value];
  };
  const tinted = (low: number, high: number): Colour =>
    [0, 1, 2].map(() => Math.round(random.range(low, high))) as never;
  const dark = (): Colour => (random.float() < 0.5 ? grey(0, 90) : tinted(0, 130));
  const light = (): Colour => (random.float() < 0.6 ? grey(215, 256) : tinted(195, 256));
  const inverted = random.float() < 0.36;
  const [ink, paper] = inverted
    ? [random.float() < 0.4 ? PLAIN.paper : light(), random.float() < 0.4 ? PLAIN.ink : dark()]
    : [dark(), random.float() < 0.5 ? PLAIN.paper : light()];
  return { ink, paper, quality: random.float() < 0.12 ? random.range(30, 85) : 0 };
}

/** Print through a scanner or a copier. */
function scanned(random: Random, em: number): Partial<Look> {
  const paper = Math.round(random.range(205, 256));
  const ink = Math.round(random.range(0, 100));
  return {
    weight: random.range(-6, 20),
    gamma: random.range(0.6, 1.3),
    rotation: often(random, 0.5, -0.02, 0.02),
    blur: em * often(random, 0.6, 0.02, 0.045),
    noise: often(random, 0.6, 1, 9),
    shade: often(random, 0.3, 4, 20),
    grain: often(random, 0.3, 2, 9),
    fade: often(random, 0.25, 0.1, 0.5),
    quality: often(random, 0.15, 30, 85),
    ink: [ink, ink, ink],
    paper: [paper, paper, paper],
  };
}

/** Print before a camera: from aside, in uneven and warm or cold light, not quite sharp. */
function photographed(random: Random, em: number): Partial<Look> {
  const paper = random.range(150, 250);
  const ink = random.range(0, 0.4) * paper;
  const warmth = random.range(-10, 18);
  const lit = (value: number): Colour => [
    Math.round(Math.min(255, value + warmth / 2)),
    Math.round(value),
    Math.round(Math.max(0, value - warmth)),
  ];
  const way = random.range(0, 2 * Math.PI);
  const motion = often(random, 0.25, 0.04, 0.12);
  return {
    rotation: random.range(-0.045, 0.045),
    slant: random.range(-0.05, 0.05),
    keystone: [often(random, 0.7, -0.14, 0.14), often(random, 0.5, -0.05, 0.05)],
    blur: em * random.range(0.02, 0.06),
    motion: [em * motion * Math.cos(way), em * motion * Math.sin(way)],
    noise: random.range(1, 9),
    shade: random.range(5, 60),
    stains: often(random, 0.5, 5, 30),
    grain: often(random, 0.5, 2, 10),
    quality: often(random, 0.4, 25, 85),
    ink: lit(ink),
    paper: lit(paper),
  };
}

/** Pen on paper, or, one in eight, chalk on a board. */
function byHand(random: Random): Partial<Look> {
  const look = penAndPaper(random);
  if (random.float() >= 0.125) return { ...look, quality: often(random, 0.1, 30, 85), grain: often(random, 0.2, 2, 8) };
  const board = random.range(10, 70);
  const green = often(random, 0.5, 5, 35);
  return {
    ...look,
    ink: [235, 235, 230],
    paper: [Math.round(board), Math.round(board + green), Math.round(board + green / 2)],
    fade: often(random, 0.5, 0.1, 0.5),
  };
}

/** Ends and beginnings of what stands round formulas. */
const WORDS = ['where', 'and thus', 'for all', 'Lemma 2.', 'we obtain', 'is given by', 'hence', 'by (3) it follows'];
const SIDES = ['left', 'top', 'right', 'bottom'] as const;

function drawSurroundings(random: Random): Surroundings {
  const x = random.float();
  if (x < 0.04) return { number: { latex: equationNumber(random), gap: random.range(1000, 5000) } };
  const side = random.pick(SIDES);
  const place = random.float();
  if (x < 0.055) return { words: { latex: `\\text{${random.pick(WORDS)}}`, side, place } };
  if (x < 0.07) return { rule: { side, place, thickness: random.range(0.6, 2.2) } };
  return {};
}

/** (7), (3.14), (A.2), (12a) */
function equationNumber(random: Random): string {
  const part = (): string => String(1 + random.int(random.float() < 0.6 ? 9 : 60));
  const chapter =
    random.float() < 0.5 ? '' : random.float() < 0.85 ? `${part()}.` : `\\text{${random.pick(['A', 'B'])}}.`;
  return `(${chapter}${part()}${random.float() < 0.1 ? random.pick(['\\text{a}', '\\text{b}', "'"]) : ''})`;
}
