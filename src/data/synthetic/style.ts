// How one sample looks: draws its style from the generator, sets the placed glyphs on a canvas and finishes the picture
// (weight, slant, rotation, blur, noise, ink and paper).
import type { Pixels } from '../../formats/png.ts';
import type { Random } from '../../shared/random.ts';
import { drawHand, type Hand, place, type Stroke, writeByHand } from './handwritten.ts';
import { clipPolygon, contoursOf, type Points } from './outline.ts';
import { Canvas } from './raster.ts';
import type { Placed } from './render.ts';

export const STYLES = ['printed', 'handwritten', 'mixed'] as const;
export type StyleName = (typeof STYLES)[number];

/** The picture's size in pixels that samples keep to. */
export const MAX_WIDTH = 400;
export const HEIGHTS: readonly [number, number] = [28, 84];
/** Taller is allowed for the level hard (systems of equations). */
export const MAX_HEIGHT_HARD = 120;
export const FONT_PX: readonly [number, number] = [14, 26];

export interface Style {
  readonly hand: Hand | undefined;
  readonly fontPx: number;
  /** left and right, top and bottom, pixels */
  readonly margin: readonly [number, number];
  /** radius in pixels of the stroke that thickens printed glyphs */
  readonly weight: number;
  readonly slant: number;
  readonly rotation: number;
  readonly blur: number;
  readonly noise: number;
  /** paper darkens by this many levels from one side to the other */
  readonly shade: number;
  readonly ink: readonly [number, number, number];
  readonly paper: readonly [number, number, number];
}

export function drawStyle(random: Random, set: StyleName): Style {
  const byHand = set === 'handwritten' || (set === 'mixed' && random.float() < 0.5);
  const fontPx = random.range(...FONT_PX);
  const margin = [random.range(3, 12), random.range(3, 9)] as const;
  const often = (share: number, low: number, high: number): number =>
    random.float() < share ? random.range(low, high) : 0;
  if (!byHand) {
    const paper = Math.round(255 - often(0.4, 0, 22));
    const ink = Math.round(often(0.6, 0, 70));
    return {
      hand: undefined,
      fontPx,
      margin,
      weight: often(0.4, 0.05, 0.35),
      slant: 0,
      rotation: often(0.2, -0.012, 0.012),
      blur: often(0.4, 0.3, 0.65),
      noise: often(0.3, 1, 6),
      shade: often(0.1, 4, 16),
      ink: [ink, ink, ink],
      paper: [paper, paper, paper],
    };
  }
  const paper = random.range(228, 255);
  const tint = often(0.4, 2, 12);
  const dark = random.range(0, 85);
  const blue = random.float() < 0.35;
  const level = (value: number): number => Math.round(Math.min(255, Math.max(0, value)));
  return {
    hand: drawHand(random),
    fontPx,
    margin,
    weight: 0,
    slant: random.range(-0.08, 0.28),
    rotation: random.range(-0.03, 0.03),
    blur: often(0.5, 0.3, 0.7),
    noise: often(0.5, 1, 7),
    shade: often(0.35, 4, 26),
    ink: blue
      ? [level(dark * 0.6), level(dark * 0.8 + 10), level(dark + random.range(60, 120))]
      : [level(dark), level(dark), level(dark)],
    paper: [level(paper), level(paper - tint * 0.3), level(paper - tint)],
  };
}

/** The picture, or undefined when the formula does not fit at the smallest font size. */
export function draw(placed: readonly Placed[], style: Style, maxHeight: number, random: Random): Pixels | undefined {
  const fills: Points[] = [];
  let strokes: readonly Stroke[] = [];
  if (style.hand !== undefined) strokes = writeByHand(placed, style.hand, random);
  else for (const piece of placed) fills.push(...printed(piece));
  const [cos, sin] = [Math.cos(style.rotation), Math.sin(style.rotation)];
  // Slant, then rotate, then y downwards; in units still.
  const turn = { a: cos, b: -sin, c: cos * style.slant - sin, d: -(sin * style.slant + cos), e: 0, f: 0 };
  const turnedFills = fills.map((points) => place(points, turn));
  const turnedLines = strokes.map((stroke) => place(stroke.points, turn));
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const points of [...turnedFills, ...turnedLines]) {
    for (let i = 0; i < points.length; i += 2) {
      left = Math.min(left, points[i]!);
      right = Math.max(right, points[i]!);
      top = Math.min(top, points[i + 1]!);
      bottom = Math.max(bottom, points[i + 1]!);
    }
  }
  if (!(right >= left)) return undefined;
  const [mx, my] = style.margin;
  const room = Math.min(
    (1000 * (MAX_WIDTH - 2 * mx - 1)) / (right - left),
    (1000 * (maxHeight - 2 * my - 1)) / (bottom - top),
  );
  const fontPx = Math.min(style.fontPx, room);
  if (fontPx < FONT_PX[0]) return undefined;
  const scale = fontPx / 1000;
  const width = Math.min(MAX_WIDTH, Math.ceil((right - left) * scale + 2 * mx));
  const height = Math.max(HEIGHTS[0], Math.ceil((bottom - top) * scale + 2 * my));
  const x0 = (width - (right - left) * scale) / 2 - left * scale;
  const y0 = (height - (bottom - top) * scale) / 2 - top * scale;
  const toPixels = { a: scale, b: 0, c: 0, d: scale, e: x0, f: y0 };
  const canvas = new Canvas(width, height);
  for (const points of turnedFills) {
    const pixels = place(points, toPixels);
    canvas.fill(pixels);
    if (style.weight > 0) outlineStroke(canvas, pixels, style.weight);
  }
  for (const [k, line] of turnedLines.entries()) {
    penStroke(canvas, place(line, toPixels), strokes[k]!.radii, scale);
  }
  const ink = style.blur > 0 ? blurred(canvas.ink(), width, height, style.blur) : canvas.ink();
  return finish(ink, width, height, style, random);
}

function printed(piece: Placed): Points[] {
  if (piece.kind === 'bar') {
    const { left, right, bottom, top } = piece.box;
    return [Float64Array.of(left, bottom, right, bottom, right, top, left, top)];
  }
  const contours = contoursOf(piece.path).map((points) => place(points, piece.matrix));
  if (piece.clip === undefined) return contours;
  return contours.map((points) => clipPolygon(points, piece.clip!)).filter((points) => points.length >= 6);
}

function outlineStroke(canvas: Canvas, points: Points, radius: number): void {
  const count = points.length / 2;
  for (let i = 0; i < count; i++) {
    const j = (i + 1) % count;
    canvas.stroke(points[2 * i]!, points[2 * i + 1]!, points[2 * j]!, points[2 * j + 1]!, radius, radius);
  }
}

function penStroke(canvas: Canvas, points: Points, radii: Float64Array, scale: number): void {
  const count = points.length / 2;
  for (let i = 0; i < Math.max(1, count - 1); i++) {
    const j = Math.min(i + 1, count - 1);
    const [r0, r1] = [radii[i]! * scale, radii[j]! * scale];
    canvas.stroke(points[2 * i]!, points[2 * i + 1]!, points[2 * j]!, points[2 * j + 1]!, r0, r1);
  }
}

/** Three taps each way; for such small blurs a Gaussian is that. */
function blurred(ink: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const side = Math.exp(-1 / (2 * sigma * sigma));
  const [w0, w1] = [1 / (1 + 2 * side), side / (1 + 2 * side)];
  const rows = new Float32Array(ink.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      rows[at] = w0 * ink[at]! + w1 * ((x > 0 ? ink[at - 1]! : 0) + (x < width - 1 ? ink[at + 1]! : 0));
    }
  }
  const out = new Float32Array(ink.length);
  for (let at = 0; at < out.length; at++) {
    const above = at >= width ? rows[at - width]! : 0;
    const below = at + width < out.length ? rows[at + width]! : 0;
    out[at] = w0 * rows[at]! + w1 * (above + below);
  }
  return out;
}

function finish(ink: Float32Array, width: number, height: number, style: Style, random: Random): Pixels {
  const grey = [style.ink, style.paper].every(([r, g, b]) => r === g && g === b);
  const channels = grey ? 1 : 3;
  const pixels = new Uint8Array(width * height * channels);
  const angle = random.range(0, 6.283);
  const [shadeX, shadeY] = [(Math.cos(angle) * style.shade) / width, (Math.sin(angle) * style.shade) / height];
  const offset = -style.shade / 2;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let add = offset + shadeX * (x - width / 2) + shadeY * (y - height / 2);
      if (style.noise > 0) {
        // The sum of four bytes is near enough to a normal distribution (standard deviation 148).
        const bits = random.bits();
        const sum = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510;
        add += (style.noise * sum) / 148;
      }
      for (let c = 0; c < channels; c++) {
        const paper = style.paper[c]!;
        const value = paper + (style.ink[c]! - paper) * ink[at]! + add + 0.5;
        pixels[at * channels + c] = Math.max(0, Math.min(255, value));
      }
    }
  }
  return { pixels, width, height, channels };
}
