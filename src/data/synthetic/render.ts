// LaTeX → placed glyph outlines: MathJax lays the formula out once, in process, and its SVG tree is read back as a
// flat list of glyph paths and bars in font units (1000 to the em, y upwards). Nothing is downloaded.
import type { LiteElement } from '@mathjax/src/js/adaptors/lite/Element.js';
import { liteAdaptor } from '@mathjax/src/js/adaptors/liteAdaptor.js';
import { RegisterHTMLHandler } from '@mathjax/src/js/handlers/html.js';
import { TeX } from '@mathjax/src/js/input/tex.js';
import '@mathjax/src/js/input/tex/base/BaseConfiguration.js';
import '@mathjax/src/js/input/tex/ams/AmsConfiguration.js';
import '@mathjax/src/js/util/asyncLoad/esm.js';
import { mathjax } from '@mathjax/src/js/mathjax.js';
import { SVG } from '@mathjax/src/js/output/svg.js';
import { InputError, messageOf, RunError } from '../../shared/errors.ts';

/** x' = a·x + c·y + e, y' = b·x + d·y + f. */
export interface Matrix {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly e: number;
  readonly f: number;
}

export interface Box {
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
  readonly top: number;
}

/** A glyph outline (SVG path data, in its own units) and where it goes; `clip`, in formula units, cuts stretched pieces. */
export interface PlacedGlyph {
  readonly kind: 'glyph';
  readonly path: string;
  readonly matrix: Matrix;
  readonly clip?: Box;
}

/** A fraction bar, a root's bar. */
export interface PlacedBar {
  readonly kind: 'bar';
  readonly box: Box;
}

export type Placed = PlacedGlyph | PlacedBar;

const IDENTITY: Matrix = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };

/** Font files the grammar needs, read beforehand from node_modules; any other is read when first met. */
const FONT_FILES = ['symbols', 'shapes', 'arrows', 'math', 'variants', 'sans-serif', 'sans-serif-r', 'greek-ss'];

export interface Layouter {
  /** The pieces of the formula, in display style. */
  layout(latex: string): Promise<Placed[]>;
}

let shared: Promise<Layouter> | undefined;

/** The one MathJax document of this thread. */
export function layouter(): Promise<Layouter> {
  shared ??= createLayouter();
  return shared;
}

async function createLayouter(): Promise<Layouter> {
  RegisterHTMLHandler(liteAdaptor());
  const input = new TeX({
    packages: ['base', 'ams'],
    formatError: (_jax: unknown, error: Error) => {
      throw error;
    },
  });
  const output = new SVG({ fontCache: 'none', linebreaks: { inline: false } });
  const document = mathjax.document('', { InputJax: input, OutputJax: output });
  const fontClass = output.font.constructor as unknown as { dynamicFiles: Record<string, never> };
  for (const name of FONT_FILES) {
    const file = fontClass.dynamicFiles[name];
    if (file !== undefined) await output.font.loadDynamicFile(file);
  }
  return {
    async layout(latex) {
      let container: LiteElement | undefined;
      while (container === undefined) {
        try {
          container = document.convert(latex, { display: true }) as LiteElement;
        } catch (error) {
          // MathJax asks to wait for a font file and to be called again.
          const retry = error instanceof Error && 'retry' in error ? error.retry : undefined;
          if (!(retry instanceof Promise)) {
            throw new InputError(`formula ${JSON.stringify(latex)}: MathJax cannot set it (${messageOf(error)}).`);
          }
          await retry;
        }
      }
      const placed: Placed[] = [];
      const svg = elements(container)[0];
      if (svg === undefined) throw new RunError(`MathJax gave no picture for ${JSON.stringify(latex)}`);
      for (const child of elements(svg)) {
        // The outermost group flips y for SVG; we keep y upwards and so leave that transform out.
        if (child.kind === 'g') for (const inner of elements(child)) walk(inner, IDENTITY, undefined, placed);
      }
      return placed;
    },
  };
}

function elements(node: LiteElement): LiteElement[] {
  return node.children.filter((child): child is LiteElement => 'attributes' in child);
}

function walk(node: LiteElement, outer: Matrix, clip: Box | undefined, placed: Placed[]): void {
  const attribute = (name: string): string | undefined => {
    const value: unknown = node.attributes[name];
    return value === undefined ? undefined : String(value);
  };
  const number = (name: string): number => Number(attribute(name) ?? 0);
  const transform = attribute('transform');
  let matrix = transform === undefined ? outer : multiply(outer, parseTransform(transform));
  switch (node.kind) {
    case 'path': {
      const path = attribute('d') ?? '';
      if (path !== '') placed.push({ kind: 'glyph', path, matrix, clip });
      return;
    }
    case 'rect': {
      const [x, y, width, height] = [number('x'), number('y'), number('width'), number('height')];
      const box = boxOf(matrix, { left: x, bottom: y, right: x + width, top: y + height });
      if (width > 0 && height > 0) placed.push({ kind: 'bar', box });
      return;
    }
    case 'text':
      throw new RunError(`MathJax has no glyph for a character of the formula (${JSON.stringify(node.children)})`);
    case 'svg': {
      const view = (attribute('viewBox') ?? '0 0 1 1').split(/[ ,]+/).map(Number);
      const [x = 0, y = 0, width = 1, height = 1] = view;
      const sx = number('width') / width;
      const sy = number('height') / height;
      const shift = { a: sx, b: 0, c: 0, d: sy, e: number('x') - x * sx, f: number('y') - y * sy };
      matrix = multiply(matrix, shift);
      clip = boxOf(matrix, { left: x, bottom: y, right: x + width, top: y + height });
    }
  }
  for (const child of elements(node)) walk(child, matrix, clip, placed);
}

export function multiply(m: Matrix, n: Matrix): Matrix {
  return {
    a: m.a * n.a + m.c * n.b,
    b: m.b * n.a + m.d * n.b,
    c: m.a * n.c + m.c * n.d,
    d: m.b * n.c + m.d * n.d,
    e: m.a * n.e + m.c * n.f + m.e,
    f: m.b * n.e + m.d * n.f + m.f,
  };
}

function parseTransform(text: string): Matrix {
  let matrix = IDENTITY;
  for (const [, name, args = ''] of text.matchAll(/(\w+)\s*\(([^)]*)\)/g)) {
    const values = args
      .split(/[ ,]+/)
      .filter((part) => part !== '')
      .map(Number);
    const x = values[0] ?? 0;
    if (name === 'translate') matrix = multiply(matrix, { ...IDENTITY, e: x, f: values[1] ?? 0 });
    else if (name === 'scale') matrix = multiply(matrix, { ...IDENTITY, a: x, d: values[1] ?? x });
    else throw new RunError(`MathJax used a transform that texlens does not know: ${text}`);
  }
  return matrix;
}

/** The image of a box under a matrix without rotation. */
function boxOf(m: Matrix, box: Box): Box {
  const xs = [m.a * box.left + m.e, m.a * box.right + m.e];
  const ys = [m.d * box.bottom + m.f, m.d * box.top + m.f];
  return { left: Math.min(...xs), right: Math.max(...xs), bottom: Math.min(...ys), top: Math.max(...ys) };
}
