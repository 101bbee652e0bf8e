// MathJax's SVG tree → glyphs and bars with their places. MathJax moves and scales, and never turns.
import type { LiteElement } from '@mathjax/src/js/adaptors/lite/Element.js';
import type { Box } from './geometry.ts';
import { BAR, glyphOf } from './glyphs.ts';

/** x' = scaleX · x + x₀, and y' likewise. */
interface Place {
  readonly scaleX: number;
  readonly scaleY: number;
  readonly x: number;
  readonly y: number;
}

/** An element of MathML that pieces belong to, such as mo or mfrac. */
export interface Element {
  readonly kind: string;
  readonly parent: Element | undefined;
}

/** A glyph and its place; `cut` is the box, in the formula's units, outside of which nothing of it is drawn. */
export interface PlacedGlyph extends Place {
  readonly glyph: number;
  readonly cut: Box | undefined;
  /** the character that it draws, or a part of; a bar draws none */
  readonly char: string;
  readonly element: Element | undefined;
}

const ORIGIN: Place = { scaleX: 1, scaleY: 1, x: 0, y: 0 };
/** TeX's \arrayrulewidth, 0.4 pt of 10. */
const RULE = 40;
/** MathJax's dashes and the gaps between them. */
const DASH = 140;

/** The pieces of the picture inside MathJax's container. */
export function readSvg(container: LiteElement): PlacedGlyph[] {
  const pieces: PlacedGlyph[] = [];
  const svg = elements(container)[0];
  for (const child of svg === undefined ? [] : elements(svg)) {
    // The outermost group flips y for SVG; we keep y upwards and so leave that transform out.
    if (child.kind === 'g') for (const inner of elements(child)) walk(inner, ORIGIN, undefined, undefined, pieces);
  }
  return pieces;
}

function elements(node: LiteElement): LiteElement[] {
  return node.children.filter((child): child is LiteElement => 'attributes' in child);
}

function walk(
  node: LiteElement,
  outer: Place,
  cut: Box | undefined,
  parent: Element | undefined,
  pieces: PlacedGlyph[],
): void {
  const attribute = (name: string): string | undefined => {
    const value: unknown = node.attributes[name];
    return value === undefined ? undefined : String(value);
  };
  const number = (name: string): number => Number(attribute(name) ?? 0);
  const kind = attribute('data-mml-node');
  const element = kind === undefined ? parent : { kind, parent };
  const transform = attribute('transform');
  let place = transform === undefined ? outer : transformed(outer, transform);
  const bar = (left: number, bottom: number, right: number, top: number): void => {
    const size = { scaleX: right - left, scaleY: top - bottom };
    pieces.push({ glyph: BAR, char: '', element, cut: undefined, ...within(place, { ...size, x: left, y: bottom }) });
  };
  switch (node.kind) {
    case 'path': {
      const path = attribute('d') ?? '';
      if (attribute('fill') === 'none') throw new Error('it has lines that texlens does not draw');
      const char = String.fromCodePoint(Number.parseInt(attribute('data-c') ?? '20', 16));
      if (path !== '') pieces.push({ glyph: glyphOf(path), char, element, ...place, cut });
      return;
    }
    case 'rect': {
      const [x, y, width, height] = [number('x'), number('y'), number('width'), number('height')];
      // Coloured grounds are not drawn: ink has one colour.
      if (attribute('data-bgcolor') !== undefined || width <= 0 || height <= 0) return;
      if (attribute('fill') !== 'none' && attribute('data-frame') === undefined) {
        bar(x, y, x + width, y + height);
        return;
      }
      const t = RULE / 2;
      bar(x - t, y - t, x + width + t, y + t);
      bar(x - t, y + height - t, x + width + t, y + height + t);
      bar(x - t, y - t, x + t, y + height + t);
      bar(x + width - t, y - t, x + width + t, y + height + t);
      return;
    }
    case 'line': {
      const [x1, y1, x2, y2] = [number('x1'), number('y1'), number('x2'), number('y2')];
      if (x1 !== x2 && y1 !== y2) throw new Error('it has slanting lines, which texlens does not draw');
      const length = Math.abs(x2 - x1 + y2 - y1);
      const [left, bottom, across] = [Math.min(x1, x2), Math.min(y1, y2), x1 !== x2];
      const dash = (attribute('class') ?? '').endsWith('solid') ? length : DASH;
      const t = RULE / 2;
      for (let from = 0; from < length; from += 2 * dash) {
        const to = Math.min(length, from + dash);
        if (across) bar(left + from, bottom - t, left + to, bottom + t);
        else bar(left - t, bottom + from, left + t, bottom + to);
      }
      return;
    }
    case 'text':
      if (node.children.length === 0 || textOf(node).trim() === '') return;
      throw new Error(`the font has no glyph for ${JSON.stringify(textOf(node))}`);
    case 'svg': {
      const view = (attribute('viewBox') ?? '').split(/[ ,]+/).map(Number);
      const [x = 0, y = 0, width = 0, height = 0] = view;
      const [scaleX, scaleY] = [number('width') / width, number('height') / height];
      if (!(scaleX > 0 && scaleY > 0)) throw new Error('it has a label, which texlens does not draw');
      place = within(place, { scaleX, scaleY, x: number('x') - x * scaleX, y: number('y') - y * scaleY });
      cut = {
        left: place.scaleX * x + place.x,
        right: place.scaleX * (x + width) + place.x,
        bottom: place.scaleY * y + place.y,
        top: place.scaleY * (y + height) + place.y,
      };
    }
  }
  for (const child of elements(node)) walk(child, place, cut, element, pieces);
}

function textOf(node: LiteElement): string {
  return node.children
    .map((child) => ('attributes' in child ? textOf(child) : 'value' in child ? String(child.value) : ''))
    .join('');
}

const within = (outer: Place, inner: Place): Place => ({
  scaleX: outer.scaleX * inner.scaleX,
  scaleY: outer.scaleY * inner.scaleY,
  x: outer.scaleX * inner.x + outer.x,
  y: outer.scaleY * inner.y + outer.y,
});

function transformed(outer: Place, text: string): Place {
  let place = outer;
  for (const [, name, args = ''] of text.matchAll(/(\w+)\s*\(([^)]*)\)/g)) {
    const values = args
      .split(/[ ,]+/)
      .filter((part) => part !== '')
      .map(Number);
    const first = values[0] ?? 0;
    if (name === 'translate') place = within(place, { ...ORIGIN, x: first, y: values[1] ?? 0 });
    else if (name === 'scale') place = within(place, { ...ORIGIN, scaleX: first, scaleY: values[1] ?? first });
    else throw new Error(`MathJax used a transform that texlens does not know: ${text}`);
  }
  return place;
}
