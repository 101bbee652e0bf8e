// How many visible tokens of two formulas match in what they are and where they stand: the matching of CDM (Character
// Detection Matching, Wang et al. 2024; constants as in UniMERNet's cdm/), on MathJax's layout instead of TeX's pictures.
// METRIC_DEFINITIONS tells the rules.
import { assign } from './assignment.ts';
import { consistent } from './consistent.ts';
import { type TokenBox, tokenBoxes } from './tokens.ts';

const COST = { token: 1, synonym: 0.05, position: 0.05, order: 0.15 };
/** Around the ink of CDM's pictures: 8 pixels of 33.2 an em. */
const PAD = 241;

/** Characters that look almost alike; each with the one that stands for them all. */
const SYNONYMS = new Map(
  [
    ['.', '\u22c5', '\u00b7', '\u02d9'],
    ["'", '\u2032'],
    ['*', '\u2217'],
    ['T', '\u22a4'],
    ['/', '\u2215'],
    ['<', '\u27e8'],
    ['>', '\u27e9'],
    ['\u03c3', '\u03c2'],
    ['\u03ba', '\u03f0'],
    ['\u2205', '\u2300'],
  ].flatMap((group) => group.map((char): [string, string] => [char, group[0]!])),
);
const looks = (token: string): string => SYNONYMS.get(token) ?? token;

/** F1 of the visible tokens to three decimals; null where the truth cannot be rendered. */
export async function matchBoxes(truth: string, prediction: string): Promise<number | null> {
  const wanted = await tokenBoxes(truth);
  if (wanted === null) return null;
  if (truth === prediction) return 1;
  const written = await tokenBoxes(prediction);
  return written === null ? 0 : f1(wanted, written);
}

export const f1 = (wanted: readonly TokenBox[], written: readonly TokenBox[]): number =>
  Math.round((2000 * matches(wanted, written)) / (wanted.length + written.length)) / 1000;

/** How many tokens match. */
function matches(wanted: readonly TokenBox[], written: readonly TokenBox[]): number {
  const isTurned = wanted.length > written.length;
  const [few, many] = isTurned ? [written, wanted] : [wanted, written];
  const [fewPlaces, manyPlaces] = [places(few), places(many)];
  const costs = new Float64Array(few.length * many.length);
  for (let i = 0, at = 0; i < few.length; i++)
    for (let j = 0; j < many.length; j++, at++) {
      const [a, b] = [few[i]!.token, many[j]!.token];
      const token = a === b ? 0 : looks(a) === looks(b) ? COST.synonym : COST.token;
      const [p, q] = [fewPlaces[i]!, manyPlaces[j]!];
      let apart = 0;
      for (let side = 0; side < 4; side++) apart += Math.abs(p[side]! - q[side]!);
      costs[at] = token + (COST.position * apart) / 4 + COST.order * Math.abs(i / few.length - j / many.length);
    }
  const columns = assign(costs, few.length, many.length);
  const matched = few.map((box, i) => [box, many[columns[i]!]!] as const);
  const together = consistent(
    matched.map(([a, b]) => ({ from: centre(isTurned ? b : a), to: centre(isTurned ? a : b) })),
  );
  return matched.filter(([a, b], i) => together[i] && looks(a.token) === looks(b.token)).length;
}

const centre = ({ left, right, bottom, top }: TokenBox): readonly [number, number] => [
  (left + right) / 2,
  (bottom + top) / 2,
];

/** The sides of each box in shares of the picture, from its upper left corner. */
function places(boxes: readonly TokenBox[]): number[][] {
  const left = Math.min(...boxes.map((box) => box.left)) - PAD;
  const top = Math.max(...boxes.map((box) => box.top)) + PAD;
  const width = Math.max(...boxes.map((box) => box.right)) + PAD - left;
  const height = top - Math.min(...boxes.map((box) => box.bottom)) + PAD;
  return boxes.map((box) => [
    (box.left - left) / width,
    (top - box.top) / height,
    (box.right - left) / width,
    (top - box.bottom) / height,
  ]);
}
