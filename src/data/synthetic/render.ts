// LaTeX to pixels: MathJax sets the formula as SVG paths, sharp rasterises them.
import { liteAdaptor } from '@mathjax/src/mjs/adaptors/liteAdaptor.js';
import { RegisterHTMLHandler } from '@mathjax/src/mjs/handlers/html.js';
import { TeX } from '@mathjax/src/mjs/input/tex.js';
import '@mathjax/src/mjs/input/tex/ams/AmsConfiguration.js';
import '@mathjax/src/mjs/input/tex/base/BaseConfiguration.js';
import { mathjax } from '@mathjax/src/mjs/mathjax.js';
import { SVG } from '@mathjax/src/mjs/output/svg.js';
import '@mathjax/src/mjs/util/asyncLoad/esm.js';
import sharp from 'sharp';
import { InputError } from '../../shared/errors.ts';
import { Random } from '../../shared/random.ts';
import { handwrite } from './handwritten.ts';
import type { Style } from './style.ts';

interface Typeset {
  /** the SVG's children */
  readonly body: string;
  /** x, y, width, height in font units, 1000 an em */
  readonly box: readonly [number, number, number, number];
}

let typesetter: ((latex: string) => Promise<Typeset>) | null = null;

function mathJax(): (latex: string) => Promise<Typeset> {
  const adaptor = liteAdaptor();
  RegisterHTMLHandler(adaptor);
  const input = new TeX({ packages: ['base', 'ams'] });
  const document = mathjax.document('', { InputJax: input, OutputJax: new SVG({ fontCache: 'none' }) });
  return async (latex) => {
    const html = adaptor.innerHTML((await document.convertPromise(latex, { display: true })) as never);
    const message = /data-mjx-error="([^"]*)"/.exec(html)?.[1];
    if (message) throw new InputError(`MathJax cannot set '${latex}': ${message}.`);
    const box = /viewBox="([^"]+)"/.exec(html)?.[1]?.split(' ').map(Number) as unknown as Typeset['box'];
    const start = html.indexOf('>', html.indexOf('<svg')) + 1;
    // Data attributes quote the source, whose '<' is no XML.
    const body = html.slice(start, html.lastIndexOf('</svg>')).replace(/ data-[\w-]+="[^"]*"/g, '');
    return { box, body };
  };
}

/** A PNG of the formula. The same arguments give the same bytes. */
export async function renderFormula(latex: string, style: Style, random: Random): Promise<Buffer> {
  typesetter ??= mathJax();
  const { body, box } = await typesetter(latex);
  const drawn = style.hand > 0 ? handwrite(body, style.hand, random) : body;
  const scale = style.size / 1000;
  const width = Math.ceil(box[2] * scale + 2 * style.margin);
  const height = Math.ceil(box[3] * scale + 2 * style.margin);
  const place = `translate(${style.margin} ${style.margin}) scale(${scale}) translate(${-box[0]} ${-box[1]})`;
  const pose = `rotate(${style.rotation} ${width / 2} ${height / 2})`;
  const lean = style.slant ? `translate(0 ${height / 2}) skewX(${style.slant}) translate(0 ${-height / 2})` : '';
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<rect width="100%" height="100%" fill="${style.paper}"/>` +
    `<g color="${style.ink}" stroke="${style.ink}" stroke-width="${style.stroke}" transform="${pose} ${lean} ${place}">${drawn}</g></svg>`;
  let image = sharp(Buffer.from(svg)).removeAlpha();
  if (style.blur >= 0.3) image = image.blur(style.blur);
  if (style.noise > 0) {
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    const own = Random.from(random.bits());
    for (let p = 0; p < data.length; p += info.channels) {
      // The sum of four uniforms is near enough to normal and much cheaper.
      const bits = own.bits();
      const sum = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
      const delta = ((sum - 510) / 147) * style.noise;
      for (let c = 0; c < info.channels; c++)
        data[p + c] = Math.min(255, Math.max(0, Math.round((data[p + c] as number) + delta)));
    }
    image = sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } });
  }
  return image.png({ compressionLevel: 3 }).toBuffer();
}
