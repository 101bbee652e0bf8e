// The sets of looks that a user names, and the sizes that their pictures keep to.
import type { Random } from '../../shared/random.ts';
import { drawHand } from './handwritten.ts';
import { type Limits, type Look, often, PLAIN, penAndPaper } from './look.ts';
import { wildLook } from './wild.ts';

export const STYLES = ['printed', 'handwritten', 'scrawl', 'mixed', 'wild'] as const;
export type StyleName = (typeof STYLES)[number];

interface StyleSet {
  readonly limits: Limits;
  /** for the level hard, with its systems of equations, where they differ */
  readonly limitsHard?: Limits;
  readonly look: (random: Random) => Look;
}

const FONT_PX = [14, 26] as const;
const SMALL = {
  limits: { width: [1, 400], height: [28, 84], smallestFont: FONT_PX[0] },
  limitsHard: { width: [1, 400], height: [28, 120], smallestFont: FONT_PX[0] },
} as const;

export const STYLE_SETS: Readonly<Record<StyleName, StyleSet>> = {
  printed: { ...SMALL, look: printedLook },
  handwritten: { ...SMALL, look: handwrittenLook },
  scrawl: { ...SMALL, look: scrawledLook },
  mixed: { ...SMALL, look: (random) => (random.float() < 0.5 ? handwrittenLook(random) : printedLook(random)) },
  wild: { limits: { width: [12, 1000], height: [12, 260], smallestFont: 9 }, look: wildLook },
};

function drawMargins(random: Random): Look['margins'] {
  const [across, down] = [random.range(3, 12), random.range(3, 9)];
  return [across, down, across, down];
}

function printedLook(random: Random): Look {
  const fontPx = random.range(...FONT_PX);
  const margins = drawMargins(random);
  const paper = Math.round(255 - often(random, 0.4, 0, 22));
  const ink = Math.round(often(random, 0.6, 0, 70));
  return {
    ...PLAIN,
    ...{ fontPx, margins },
    weight: (1000 * often(random, 0.4, 0.05, 0.35)) / fontPx,
    rotation: often(random, 0.2, -0.012, 0.012),
    blur: often(random, 0.4, 0.3, 0.65),
    noise: often(random, 0.3, 1, 6),
    shade: often(random, 0.1, 4, 16),
    ink: [ink, ink, ink],
    paper: [paper, paper, paper],
  };
}

function handwrittenLook(random: Random): Look {
  const fontPx = random.range(...FONT_PX);
  const margins = drawMargins(random);
  return { ...PLAIN, fontPx, margins, ...penAndPaper(random) };
}

/** One person's hand: it leans back, and every letter has a form of its own. */
function scrawledLook(random: Random): Look {
  return { ...handwrittenLook(random), hand: { ...drawHand(random), writer: 1 }, slant: random.range(-0.5, -0.3) };
}
