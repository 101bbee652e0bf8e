// A typeset formula and a look → the picture's pixels.
import type { Pixels } from '../../formats/png.ts';
import type { Random } from '../../shared/random.ts';
import { compressBlocks } from './augment/blocks.ts';
import { blurred, smeared } from './augment/blur.ts';
import { addNoise } from './augment/noise.ts';
import { resized } from './augment/resize.ts';
import { toned } from './augment/tone.ts';
import { addSlope, addUnevenness } from './augment/unevenness.ts';
import { type Box, type Projection, project, scaled, seen } from './geometry.ts';
import { type Stroke, writeByHand } from './handwritten.ts';
import type { Limits, Look } from './look.ts';
import { clipPolygon, outlineOf } from './outline.ts';
import { boxOf, inkBox, STRIDE, type Typeset } from './placed.ts';
import { Canvas } from './raster.ts';

/** The picture, or undefined when there is no ink or the formula does not fit at the smallest font. */
export function draw(
  formula: Typeset,
  look: Look,
  limits: Limits,
  random: Random,
  words?: Typeset,
): Pixels | undefined {
  const box = inkBox(formula);
  if (box === undefined) return undefined;
  const view = seen(look, box);
  const strokes = look.hand === undefined ? undefined : writeByHand(formula, look.hand, random);
  const bounds = strokes === undefined ? boundsOfGlyphs(formula, view) : boundsOfStrokes(strokes, view);
  const [left, top, right, bottom] = look.margins;
  const [wide, high] = [bounds.right - bounds.left, bounds.top - bounds.bottom];
  const room = (most: number, ends: number, size: number): number => (1000 * (most - ends - 1)) / size;
  const fontPx = Math.min(
    look.fontPx,
    room(limits.width[1], left + right, wide),
    room(limits.height[1], top + bottom, high),
  );
  if (!(fontPx >= limits.smallestFont)) return undefined;
  const scale = fontPx / 1000;
  const width = Math.max(limits.width[0], Math.ceil(wide * scale + left + right));
  const height = Math.max(limits.height[0], Math.ceil(high * scale + top + bottom));
  // What a least size adds is shared between the two sides.
  const x = left + (width - wide * scale - left - right) / 2 - bounds.left * scale;
  const y = top + (height - high * scale - top - bottom) / 2 - bounds.bottom * scale;

  const canvas = new Canvas(Math.round(width * look.drawnAt), Math.round(height * look.drawnAt));
  const [zoomX, zoomY] = [canvas.width / width, canvas.height / height];
  const toPixels = scaled(view, scale * zoomX, scale * zoomY, x * zoomX, y * zoomY);
  if (strokes === undefined) print(canvas, formula, look.weight, toPixels);
  else for (const stroke of strokes) penStroke(canvas, stroke, toPixels, scale * look.drawnAt);
  drawSurroundings(canvas, look, words, scale * look.drawnAt);

  let ink = canvas.ink();
  if (canvas.width !== width || canvas.height !== height)
    ink = resized(ink, canvas.width, canvas.height, width, height, look.kernel);
  if (look.gamma !== 1) ink = toned(ink, look.gamma);
  if (look.fade > 0) fadeInk(ink, width, height, look, random);
  if (look.blur > 0) ink = blurred(ink, width, height, look.blur);
  if (look.motion[0] !== 0 || look.motion[1] !== 0) ink = smeared(ink, width, height, ...look.motion);
  return onPaper(ink, width, height, look, random);
}

let scratch = new Float64Array(4096);

function print(canvas: Canvas, { pieces, cuts }: Typeset, weight: number, toPixels: Projection): void {
  for (let at = 0; at < pieces.length; at += STRIDE) {
    const { points, normals, ends } = outlineOf(pieces[at]!);
    const scaleX = pieces[at + 1]!;
    const scaleY = pieces[at + 2]!;
    const x = pieces[at + 3]!;
    const y = pieces[at + 4]!;
    if (points.length > scratch.length) scratch = new Float64Array(2 * points.length);
    // Indices are thin already: they change by their share.
    const grow = weight * Math.min(1, scaleX);
    for (let i = 0; i < points.length; i += 2) {
      scratch[i] = scaleX * points[i]! + grow * normals[i]! + x;
      scratch[i + 1] = scaleY * points[i + 1]! + grow * normals[i + 1]! + y;
    }
    const cut = cuts?.get(at / STRIDE);
    if (cut === undefined) {
      project(scratch, points.length, toPixels);
      for (let c = 0, from = 0; c < ends.length; from = ends[c++]!) canvas.fill(scratch, from, ends[c]!);
      continue;
    }
    for (let c = 0, from = 0; c < ends.length; from = ends[c++]!) {
      const polygon = clipPolygon(scratch.subarray(from, ends[c]!), cut);
      project(polygon, polygon.length, toPixels);
      canvas.fill(polygon);
    }
  }
}

function penStroke(canvas: Canvas, { points, radii }: Stroke, toPixels: Projection, scale: number): void {
  const line = points.slice();
  project(line, line.length, toPixels);
  const count = radii.length;
  for (let i = 0; i < Math.max(1, count - 1); i++) {
    const j = Math.min(i + 1, count - 1);
    const from = 2 * i;
    const to = 2 * j;
    canvas.stroke(line[from]!, line[from + 1]!, line[to]!, line[to + 1]!, radii[i]! * scale, radii[j]! * scale);
  }
}

/** The box, as seen, round the boxes of all glyphs. Here `bottom` is the smallest y, which is the upper edge. */
function boundsOfGlyphs(formula: Typeset, view: Projection): Box {
  const count = formula.pieces.length / STRIDE;
  const corners = new Float64Array(8 * count);
  for (let i = 0; i < count; i++) {
    const { left, bottom, right, top } = boxOf(formula, i);
    corners.set([left, bottom, right, bottom, right, top, left, top], 8 * i);
  }
  project(corners, corners.length, view);
  return boundsOf([corners]);
}

function boundsOfStrokes(strokes: readonly Stroke[], view: Projection): Box {
  return boundsOf(
    strokes.map(({ points }) => {
      const line = points.slice();
      project(line, line.length, view);
      return line;
    }),
  );
}

function boundsOf(lines: readonly Float64Array[]): Box {
  let [left, bottom, right, top] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const line of lines) {
    for (let i = 0; i < line.length; i += 2) {
      const x = line[i]!;
      const y = line[i + 1]!;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < bottom) bottom = y;
      if (y > top) top = y;
    }
  }
  return { left, bottom, right, top };
}

/** Words and a ruled line that reach into the margins, and keep off the formula. */
function drawSurroundings(canvas: Canvas, look: Look, words: Typeset | undefined, scale: number): void {
  const { words: where, rule } = look.surroundings;
  const { width, height } = canvas;
  if (where !== undefined && words !== undefined) {
    const box = inkBox(words);
    const visible = 0.8 * marginAt(look, where.side);
    if (box === undefined || visible < 1) return;
    const [wide, high] = [(box.right - box.left) * scale, (box.top - box.bottom) * scale];
    const upright = where.side === 'left' || where.side === 'right';
    const along = upright ? where.place * (height - high) : where.place * width - wide / 2;
    const into = { left: visible - wide, right: width - visible, top: visible - high, bottom: height - visible };
    const [x, y] = upright ? [into[where.side], along] : [along, into[where.side]];
    const toPixels = [scale, 0, x - box.left * scale, 0, -scale, y + box.top * scale, 0, 0, 1];
    print(canvas, words, look.weight, Float64Array.from(toPixels));
  }
  if (rule !== undefined) {
    const room = marginAt(look, rule.side) - rule.thickness - 1;
    if (room < 0) return;
    const near = rule.place * room;
    const far = near + rule.thickness;
    const [left, top, right, bottom] = {
      left: [near, 0, far, height],
      right: [width - far, 0, width - near, height],
      top: [0, near, width, far],
      bottom: [0, height - far, width, height - near],
    }[rule.side] as [number, number, number, number];
    // Counter to the page's turning sense is as good: ink is the area's size.
    canvas.fill(Float64Array.of(left, top, left, bottom, right, bottom, right, top));
  }
}

function marginAt({ margins, drawnAt }: Look, side: keyof Box): number {
  const [left, top, right, bottom] = margins;
  return { left, top, right, bottom }[side] * drawnAt;
}

function fadeInk(ink: Float32Array, width: number, height: number, { fade }: Look, random: Random): void {
  const kept = new Float32Array(ink.length).fill(1 - fade / 2);
  addUnevenness(kept, width, height, random.range(3, 30), fade / 2, random);
  for (let at = 0; at < ink.length; at++) ink[at]! *= kept[at]!;
}

function onPaper(ink: Float32Array, width: number, height: number, look: Look, random: Random): Pixels {
  const grey = [look.ink, look.paper].every(([r, g, b]) => r === g && g === b);
  const channels = grey ? 1 : 3;
  const pixels = new Uint8Array(width * height * channels);
  const light = lightOn(width, height, look, random);
  for (let c = 0; c < channels; c++) {
    const paper = look.paper[c]!;
    const change = look.ink[c]! - paper;
    const bare = Math.min(255, paper);
    for (let at = 0, to = c; at < ink.length; at++, to += channels) {
      if (light === undefined && ink[at] === 0) {
        pixels[to] = bare;
        continue;
      }
      const value = (paper + change * ink[at]!) * (light === undefined ? 1 : light[at]!) + 0.5;
      pixels[to] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
  }
  if (look.noise > 0) addNoise(pixels, width * channels, channels, look.noise, random);
  if (look.quality > 0) compressBlocks(pixels, width, height, channels, look.quality);
  return { pixels, width, height, channels };
}

/** By how much each pixel is lighter or darker; undefined for even light. */
function lightOn(width: number, height: number, look: Look, random: Random): Float32Array | undefined {
  if (look.shade === 0 && look.stains === 0 && look.grain === 0) return undefined;
  const light = new Float32Array(width * height).fill(1);
  if (look.shade > 0) addSlope(light, width, height, look.shade / 510, random);
  if (look.stains > 0) addUnevenness(light, width, height, random.range(40, 200), look.stains / 510, random);
  if (look.grain > 0) addUnevenness(light, width, height, random.range(1.5, 5), look.grain / 255, random);
  return light;
}
