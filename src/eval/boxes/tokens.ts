// A formula's visible tokens and their boxes, from MathJax's layout: every letter, digit and sign, a delimiter, accent,
// root or fraction bar as one, of whatever pieces it is put together. What CDM finds by colouring tokens and rendering
// them with TeX (UniMERNet, cdm/) stands here in the layout itself.
import type { Box } from '../../data/synthetic/geometry.ts';
import { boxOf } from '../../data/synthetic/placed.ts';
import type { Element } from '../../data/synthetic/svg_tree.ts';
import { packed, setGlyphs } from '../../data/synthetic/typeset.ts';
import { InputError } from '../../shared/errors.ts';

/** Boxes are in units of a thousandth em, y upwards. */
export interface TokenBox extends Box {
  /** a character without its font, or the name of a bar */
  readonly token: string;
}

/** In the order of the layout; null where MathJax cannot set the formula or nothing of it is seen. */
export async function tokenBoxes(latex: string): Promise<readonly TokenBox[] | null> {
  try {
    const boxes = await layOut(latex);
    return boxes.length > 0 ? boxes : null;
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

async function layOut(latex: string): Promise<TokenBox[]> {
  const glyphs = await setGlyphs(latex);
  const formula = packed(glyphs);
  const found: TokenBox[] = [];
  // Pieces of one element that are one sign, by the element; where they stand in `found`.
  const wholes = new Map<Element, number>();
  for (const [i, { char, element }] of glyphs.entries()) {
    const owner = ownerOf(element, char);
    const box = boxOf(formula, i);
    const token = char === '' ? (BARS[owner?.kind ?? ''] ?? null) : tokenOf(owner, char);
    // Rules of tables count no more than in CDM; a blank has no ink.
    if (token === null || !(box.right > box.left && box.top > box.bottom)) continue;
    const at = owner && isOne(owner, char) ? wholes.get(owner) : undefined;
    if (at !== undefined) found[at] = { token: found[at]!.token, ...union(found[at]!, box) };
    else {
      const place = found.push({ token, ...box }) - 1;
      if (owner && isOne(owner, char)) wholes.set(owner, place);
    }
  }
  return found;
}

/** Bars that count, by the element that draws them. */
const BARS: Readonly<Record<string, string>> = {
  mfrac: '\\frac',
  msqrt: '\\sqrt',
  mroot: '\\sqrt',
  menclose: '\\boxed',
};

/** A root's sign belongs to the root, as its bar does. */
const ownerOf = (element: Element | undefined, char: string): Element | undefined =>
  element?.kind === 'mo' && ROOT_PARTS.has(char) && BARS[element.parent?.kind ?? ''] === '\\sqrt'
    ? element.parent
    : element;
/** The sign, and the pieces of a tall one in MathJax's font. */
const ROOT_PARTS = new Set(['\u221a', '\u23b7', '\ue000', '\ue001']);

const isOne = ({ kind }: Element, char: string): boolean =>
  kind in BARS || (kind === 'mo' && !/[\p{L}\p{N}.]/u.test(char));

const tokenOf = (owner: Element | undefined, char: string): string =>
  BARS[owner?.kind ?? ''] ?? WHOLE_OF.get(char) ?? char.normalize('NFKC');

/** Characters that are parts of a stretched sign or another form of it, and that sign. */
const WHOLE_OF = new Map(
  Object.entries({
    '(': '\u239b\u239c\u239d',
    ')': '\u239e\u239f\u23a0',
    '[': '\u23a1\u23a2\u23a3',
    ']': '\u23a4\u23a5\u23a6',
    '{': '\u23a7\u23a8\u23a9\u23aa',
    '}': '\u23ab\u23ac\u23ad',
    '|': '\u23d0\u2223',
    '\u2016': '\u2225',
    '\u222b': '\u2320\u2321\u23ae',
    '\u2212': '-',
    '\u02c6': '^\u0302',
    '\u02dc': '~\u0303',
    '\u00af': '\u0304\u0305\u2015\u2013\u203e',
    '\u02d8': '\u0306',
    '\u02d9': '\u0307',
    '\u00a8': '\u0308',
    '\u02da': '\u030a',
    '\u02c7': '\u030c',
    '\u00b4': '\u0301',
    '`': '\u0300\u02cb',
    '\u2192': '\u20d7',
    // Another letter than l, though compatible with it.
    '\u2113': '',
  }).flatMap(([whole, parts]) => Array.from(whole + parts, (part): [string, string] => [part, whole])),
);

const union = (a: Box, b: Box): Box => ({
  left: Math.min(a.left, b.left),
  bottom: Math.min(a.bottom, b.bottom),
  right: Math.max(a.right, b.right),
  top: Math.max(a.top, b.top),
});
