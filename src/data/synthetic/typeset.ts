// LaTeX → a typeset formula. MathJax lays it out, in process and without downloads, in display style; what comes of it is
// kept in a compact form, for the layout takes most of a sample's time and one formula is drawn many times.
import { MathJaxTermesFont } from '@mathjax/mathjax-termes-font/js/svg.js';
import type { LiteElement } from '@mathjax/src/js/adaptors/lite/Element.js';
import { liteAdaptor } from '@mathjax/src/js/adaptors/liteAdaptor.js';
import { RegisterHTMLHandler } from '@mathjax/src/js/handlers/html.js';
import { TeX } from '@mathjax/src/js/input/tex.js';
import '@mathjax/src/js/input/tex/base/BaseConfiguration.js';
import '@mathjax/src/js/input/tex/ams/AmsConfiguration.js';
import '@mathjax/src/js/input/tex/boldsymbol/BoldsymbolConfiguration.js';
import '@mathjax/src/js/input/tex/braket/BraketConfiguration.js';
import '@mathjax/src/js/input/tex/mathtools/MathtoolsConfiguration.js';
import '@mathjax/src/js/input/tex/textmacros/TextMacrosConfiguration.js';
import '@mathjax/src/js/input/tex/upgreek/UpgreekConfiguration.js';
import '@mathjax/src/js/util/asyncLoad/esm.js';
import { mathjax } from '@mathjax/src/js/mathjax.js';
import { SVG } from '@mathjax/src/js/output/svg.js';
import { InputError, messageOf } from '../../shared/errors.ts';
import type { Box } from './geometry.ts';
import { STRIDE, type Typeset } from './placed.ts';
import { type PlacedGlyph, readSvg } from './svg_tree.ts';

/** Computer Modern, as TeX sets it unless told; Times. */
export const FONTS = ['modern', 'times'] as const;
export type Font = (typeof FONTS)[number];

/** Without newcommand and its like: a formula must not change how the next one is set. */
const PACKAGES = ['base', 'ams', 'boldsymbol', 'braket', 'mathtools', 'textmacros', 'upgreek'];

/** Font files the grammar needs, read beforehand from node_modules; any other is read when first met. */
const FONT_FILES = ['symbols', 'shapes', 'arrows', 'math', 'variants', 'sans-serif', 'sans-serif-r', 'greek-ss'];

const LOW_DOTS = '\\mathinner{\\ldotp\\ldotp\\ldotp}';
const CENTRED_DOTS = '\\mathinner{\\cdotp\\cdotp\\cdotp}';
/** Commands that MathJax sets otherwise than TeX, and how it comes to the same. */
const AS_TEX: Readonly<Record<string, string>> = {
  // TeX spaces points, where MathJax takes a narrow glyph.
  ...{ ldots: LOW_DOTS, dots: LOW_DOTS, dotsc: LOW_DOTS },
  ...{ cdots: CENTRED_DOTS, dotsb: CENTRED_DOTS, dotsm: CENTRED_DOTS },
  // Of an equation's number, which there is none of; MathJax makes a table for it.
  ...{ nonumber: '', notag: '' },
};
const OTHERWISE = new RegExp(`\\\\(${Object.keys(AS_TEX).join('|')})(?![a-zA-Z])`, 'g');
/** amsmath's \dots are centred before an operator. */
const BETWEEN =
  /\\dots(?=\s*(?:[-+=<>*]|\\(?:times|cdot|circ|to|rightarrow|leq?|geq?|subset|subseteq|oplus|otimes|wedge|cup|cap)(?![a-zA-Z])))/g;

const asTex = (latex: string): string =>
  latex.replace(BETWEEN, '\\cdots').replace(OTHERWISE, (_, name: string) => AS_TEX[name]!);

type Layout = (latex: string) => LiteElement;

const layouts = new Map<Font, Promise<Layout>>();
let registered = false;

/** Sets a formula; an InputError says why it cannot be set. */
export async function typeset(latex: string, font: Font = 'modern'): Promise<Typeset> {
  return packed(await setGlyphs(latex, font));
}

/** The same, piece by piece, with what each draws. */
export async function setGlyphs(latex: string, font: Font = 'modern'): Promise<PlacedGlyph[]> {
  let layout = layouts.get(font);
  if (layout === undefined) {
    layout = createLayout(font);
    layouts.set(font, layout);
  }
  const convert = await layout;
  for (;;) {
    try {
      return readSvg(convert(latex));
    } catch (error) {
      // MathJax asks to wait for a font file and to be called again.
      const retry = error instanceof Error && 'retry' in error ? error.retry : undefined;
      if (!(retry instanceof Promise)) {
        throw new InputError(`formula ${JSON.stringify(latex)}: MathJax cannot set it (${messageOf(error)}).`);
      }
      await retry;
    }
  }
}

/** The one MathJax document of this thread and font. */
async function createLayout(name: Font): Promise<Layout> {
  if (!registered) RegisterHTMLHandler(liteAdaptor());
  registered = true;
  const input = new TeX({
    packages: PACKAGES,
    // MathJax's TexError is no Error.
    formatError: (_jax: unknown, { message }: { message: string }) => {
      throw new Error(message);
    },
  });
  const fontData = name === 'times' ? MathJaxTermesFont : null;
  const output = new SVG({ fontData, fontCache: 'none', linebreaks: { inline: false } });
  const document = mathjax.document('', { InputJax: input, OutputJax: output });
  const fontClass = output.font.constructor as unknown as { dynamicFiles: Record<string, never> };
  for (const file of FONT_FILES) {
    const known = fontClass.dynamicFiles[file];
    if (known !== undefined) await output.font.loadDynamicFile(known);
  }
  return (latex) => document.convert(asTex(latex), { display: true }) as LiteElement;
}

export function packed(list: readonly PlacedGlyph[]): Typeset {
  const pieces = new Float32Array(list.length * STRIDE);
  const cuts = new Map<number, Box>();
  for (const [i, { glyph, scaleX, scaleY, x, y, cut }] of list.entries()) {
    pieces.set([glyph, scaleX, scaleY, x, y], i * STRIDE);
    if (cut !== undefined) cuts.set(i, cut);
  }
  return { pieces, cuts: cuts.size > 0 ? cuts : undefined };
}
