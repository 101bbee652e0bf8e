// Printed layout → pen strokes: every glyph becomes its centre lines, turned, scaled, shifted and bent a little, on a
// baseline that wanders, drawn with a round pen of varying pressure.
import { foldKey, Random } from '../../shared/random.ts';
import type { Box, Points } from './geometry.ts';
import { BAR, pathOf } from './glyphs.ts';
import { STRIDE, type Typeset } from './placed.ts';
import { skeletonOf } from './skeleton.ts';

/** A pen line in formula units (y upwards), and the pen's radius at each point. */
export interface Stroke {
  readonly points: Points;
  readonly radii: Float64Array;
}

/** How unsteady the hand is, in font units (1000 to the em) where lengths. */
export interface Hand {
  readonly pen: number;
  readonly wobble: number;
  readonly shift: number;
  /** radians */
  readonly turn: number;
  /** share */
  readonly scale: number;
  readonly drift: number;
  /** share of the radius */
  readonly pressure: number;
  /** a key: this writer has a form of their own for every letter, always the same one */
  readonly writer?: number | undefined;
}

/** How far a writer's own letters are from those of a book; each is bent once and stays so. */
const OWN_FORM = { wobble: 60, shift: 0, turn: 0.16, scale: 0.18 };

export function drawHand(random: Random): Hand {
  return {
    pen: random.range(24, 44),
    wobble: random.range(8, 24),
    shift: random.range(8, 26),
    turn: random.range(0.02, 0.075),
    scale: random.range(0.02, 0.07),
    drift: random.range(0, 45),
    pressure: random.range(0.05, 0.25),
  };
}

export function writeByHand({ pieces, cuts }: Typeset, hand: Hand, random: Random): Stroke[] {
  const phase = random.range(0, 6.3);
  const wave = random.range(1 / 3500, 1 / 900);
  const drift = (x: number): number => hand.drift * Math.sin(phase + 6.283 * wave * x);
  const strokes: Stroke[] = [];
  for (let at = 0; at < pieces.length; at += STRIDE) {
    const [glyph, scaleX, scaleY] = [pieces[at]!, pieces[at + 1]!, pieces[at + 2]!];
    const [x, y] = [pieces[at + 3]!, pieces[at + 4]!];
    if (glyph === BAR) {
      strokes.push(
        penStroke(
          barLine({ left: x, bottom: y, right: x + scaleX, top: y + scaleY }, hand, random),
          hand,
          random,
          drift,
        ),
      );
      continue;
    }
    const cut = cuts?.get(at / STRIDE);
    const form = cut === undefined && hand.writer !== undefined ? ownForm(glyph, hand.writer) : skeletonOf(glyph);
    const lines = form.map((line) => line.map((v, i) => (i % 2 === 0 ? scaleX * v + x : scaleY * v + y)));
    const kept = cut === undefined ? lines : lines.map((line) => inside(line, cut)).filter(long);
    if (kept.length === 0) continue;
    const bend = jitter(extent(kept, cut !== undefined), hand, random);
    for (const line of kept) strokes.push(penStroke(bend(line), hand, random, drift));
  }
  return strokes;
}

/** The glyph's centre lines as this writer forms them, by the glyph's outline and the writer alone. */
function ownForm(glyph: number, writer: number): Points[] {
  const lines = skeletonOf(glyph);
  const random = Random.from(writer, foldKey(...Buffer.from(pathOf(glyph))));
  return lines.map(jitter(extent(lines, false), OWN_FORM, random));
}

const long = (line: Points): boolean => line.length >= 4;

/** A rule as a pen draws it: too long or too short, rising or falling, sagging. */
function barLine({ left, bottom, right, top }: Box, hand: Hand, random: Random): Points {
  const upright = top - bottom > right - left;
  const [from, to] = upright ? [bottom, top] : [left, right];
  const across = upright ? (left + right) / 2 : (bottom + top) / 2;
  const reach = (): number => random.range(-20, 60);
  const start = from - reach();
  const length = to + reach() - start;
  const rise = random.normal() * Math.min(40, length * hand.turn * 0.5);
  const sag = random.normal() * Math.min(25, length * 0.03);
  const count = Math.max(2, Math.ceil(length / 60));
  const points = new Float64Array(2 * (count + 1));
  const [along, aside] = upright ? [1, 0] : [0, 1];
  for (let i = 0; i <= count; i++) {
    const t = i / count;
    points[2 * i + along] = start + t * length;
    points[2 * i + aside] =
      across + rise * (t - 0.5) + sag * Math.sin(Math.PI * t) + 0.15 * hand.wobble * random.normal();
  }
  return points;
}

interface Extent {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** stretched over others (a brace, an arrow): keep it where it is */
  readonly rigid: boolean;
}

/** One glyph's own small change of shape and place. */
function jitter(of: Extent, hand: typeof OWN_FORM, random: Random): (line: Points) => Points {
  const size = Math.max(of.width, of.height);
  const calm = of.rigid || size > 1200 ? 0.4 : Math.min(1, 0.4 + size / 600);
  const turn = random.normal() * hand.turn * calm;
  const sx = 1 + random.normal() * hand.scale * calm;
  const sy = 1 + random.normal() * hand.scale * calm;
  const dx = random.normal() * hand.shift * calm;
  const dy = random.normal() * hand.shift * calm;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const wobble = hand.wobble * calm;
  const wave = (): number[] => [random.range(0.002, 0.007), random.range(0.002, 0.007), random.range(0, 6.3)];
  const [a, b, c, d] = [wave(), wave(), wave(), wave()];
  const bend = (w: readonly number[], v: readonly number[], x: number, y: number): number =>
    wobble * (Math.sin(w[0]! * x + w[1]! * y + w[2]!) + 0.6 * Math.sin(2 * (v[0]! * x - v[1]! * y) + v[2]!));
  return (line) => {
    const out = new Float64Array(line.length);
    for (let i = 0; i < line.length; i += 2) {
      const x = (line[i]! - of.x) * sx;
      const y = (line[i + 1]! - of.y) * sy;
      out[i] = of.x + cos * x - sin * y + dx + bend(a, b, x, y);
      out[i + 1] = of.y + sin * x + cos * y + dy + bend(c, d, x, y);
    }
    return out;
  };
}

function penStroke(line: Points, hand: Hand, random: Random, drift: (x: number) => number): Stroke {
  const count = line.length / 2;
  const points = line.slice();
  const radii = new Float64Array(count);
  const phase = random.range(0, 6.3);
  const rate = random.range(0.1, 0.4);
  // A dot is pressed, not drawn.
  const base = count === 1 ? hand.pen * 1.35 : hand.pen;
  for (let i = 0; i < count; i++) {
    points[2 * i + 1]! += drift(points[2 * i]!);
    radii[i] = base * (1 + hand.pressure * Math.sin(phase + rate * i));
  }
  return { points, radii };
}

function inside(line: Points, box: Box): Points {
  const out: number[] = [];
  for (let i = 0; i < line.length; i += 2) {
    const [x, y] = [line[i]!, line[i + 1]!];
    // Lines are pulled to the box's edge, so that neighbouring pieces of one delimiter still touch.
    const cx = Math.min(Math.max(x, box.left), box.right);
    const cy = Math.min(Math.max(y, box.bottom), box.top);
    if (out.at(-2) !== cx || out.at(-1) !== cy) out.push(cx, cy);
  }
  return Float64Array.from(out);
}

function extent(lines: readonly Points[], rigid: boolean): Extent {
  let [left, bottom, right, top] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const points of lines) {
    for (let i = 0; i < points.length; i += 2) {
      left = Math.min(left, points[i]!);
      right = Math.max(right, points[i]!);
      bottom = Math.min(bottom, points[i + 1]!);
      top = Math.max(top, points[i + 1]!);
    }
  }
  return { x: (left + right) / 2, y: (bottom + top) / 2, width: right - left, height: top - bottom, rigid };
}
