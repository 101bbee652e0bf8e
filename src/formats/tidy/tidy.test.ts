// Pictures as people have them, made of one drawn formula: what comes out is dark on light, framed, and of one size.
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  asPicture,
  type Colour,
  coloured,
  jpeg,
  mapped,
  padded,
  photographed,
  scaled,
  transparent,
} from '../../../test/pictures.ts';
import { type Limits, type Look, PLAIN } from '../../data/synthetic/look.ts';
import { draw } from '../../data/synthetic/picture.ts';
import { typeset } from '../../data/synthetic/typeset.ts';
import { Random } from '../../shared/random.ts';
import type { RgbImage } from '../image.ts';
import { encodePng, type Pixels } from '../png.ts';
import type { Picture } from './opaque.ts';
import { tidy, tidyImage } from './tidy.ts';

const EM = 28;
const OPTIONS = { em: EM, sides: (height: number, width: number) => [height, width] as const };
const LOOK: Look = { ...PLAIN, fontPx: EM, margins: [4, 4, 4, 4] };
const LIMITS: Limits = { width: [1, 400], height: [28, 400], smallestFont: 14 };

/** A formula in print, black on white, an em of 28 pixels. */
async function formula(latex: string): Promise<RgbImage> {
  return asRgb(draw(await typeset(latex), LOOK, LIMITS, Random.from(1))!);
}

const asRgb = ({ width, height, pixels }: Pixels): RgbImage => ({
  width,
  height,
  rgb: Uint8Array.from({ length: pixels.length * 3 }, (_, i) => pixels[Math.floor(i / 3)]!),
});

/** What becomes of a picture where a model takes any size. */
const tidied = (picture: RgbImage | Picture): RgbImage =>
  asRgb(tidy('rgb' in picture ? asPicture(picture) : picture, OPTIONS));
const tidiedFile = async (bytes: Buffer): Promise<RgbImage> => asRgb(await tidyImage(bytes, 'picture', OPTIONS));

/** What is darker than middle grey. */
function inkBox({ width, height, rgb }: RgbImage): { left: number; top: number; right: number; bottom: number } {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (rgb[(y * width + x) * 3]! >= 128) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
      box.top = Math.min(box.top, y);
      box.bottom = y + 1;
    }
  return box;
}

const middle = (values: Uint8Array): number => values.toSorted()[values.length >> 1]!;

let clean: RgbImage;
beforeAll(async () => {
  clean = await formula('f ( x ) = \\frac { a + b } { 2 c } - x _ { 1 } ^ { 2 } + 3 y');
});

/** What every tidied picture of `clean` is, whatever it was made into. `em` says how large its writing was. */
function expectTidy(out: RgbImage, { em = EM, soft = 0.15 } = {}): void {
  const [drawn, box] = [inkBox(clean), inkBox(out)];
  expect(middle(out.rgb)).toBeGreaterThanOrEqual(225);
  expect(Math.min(...out.rgb)).toBeLessThan(60);
  // The writing as a whole is there, neither squeezed nor of another size.
  const across = (box.right - box.left) / (drawn.right - drawn.left);
  const down = (box.bottom - box.top) / (drawn.bottom - drawn.top);
  // A parenthesis or bar that is blurred counts a pixel more or less on each side, of some 60.
  expect(Math.abs(across / down - 1), `${em} px: squeezed`).toBeLessThan(0.06);
  expect(across, `an em of ${em} px`).toBeGreaterThan(1 - soft);
  expect(across, `an em of ${em} px`).toBeLessThan(1 + soft);
  // Margins from 0.15 to 0.6 em stay; two pixels are the edge's softness and rounding.
  const [least, most] = [0.15 * EM * (1 - soft) - 2, 0.6 * EM * (1 + soft) + 2];
  for (const side of [box.left, box.top, out.width - box.right, out.height - box.bottom]) {
    expect(side).toBeGreaterThanOrEqual(least);
    expect(side).toBeLessThanOrEqual(most);
  }
}

describe('tidy', () => {
  it('keeps every pixel of a clean picture with writing of the wished size and some margin', () => {
    expect(tidied(clean)).toEqual(clean);
    expectTidy(clean);
  });

  it.each<[string, Colour, Colour]>([
    ['white on black', [255, 255, 255], [0, 0, 0]],
    ['a dark theme', [212, 212, 200], [30, 34, 40]],
    ['blue on yellow', [20, 30, 200], [255, 255, 180]],
    ['yellow on blue', [250, 240, 90], [20, 40, 160]],
    ['red on a green as light', [200, 0, 0], [0, 102, 0]],
    ['pale grey', [170, 170, 170], [240, 240, 240]],
  ])('%s becomes dark on light', (_, ink, paper) => expectTidy(tidied(coloured(clean, ink, paper))));

  it('colours with their opposite say the same: white on black is black on white to the bit', () => {
    const inverted = mapped(clean, (v) => 255 - v);
    expect(tidied(inverted)).toEqual(tidied(clean));
  });

  it.each([
    ['black', 0],
    ['white', 255],
  ])('%s on nothing stands out', (_, level) => expectTidy(tidied(transparent(clean, level))));

  it('rounded transparent corners of an opaque picture are paper', () => {
    const paper = padded(coloured(clean, [230, 230, 230], [20, 20, 20]), 30, 20);
    const data = new Uint8Array(paper.width * paper.height * 4).fill(255);
    for (let i = 0; i < paper.width * paper.height; i++) {
      data.set(paper.rgb.subarray(i * 3, i * 3 + 3), i * 4);
      const [x, y] = [i % paper.width, Math.floor(i / paper.width)];
      if (x + y < 20) data.fill(0, i * 4, i * 4 + 4);
    }
    expectTidy(tidied({ ...paper, channels: 4, data }));
  });

  it.each([0.5, 0.75, 2, 4, 8])('writing %d times as large becomes as large', (by) => {
    expectTidy(tidied(scaled(clean, by)), { em: EM * by });
  });

  it('wide margins go, and dust in them', () => {
    const wide = padded(clean, 300);
    const random = Random.from(3);
    for (let k = 0; k < 60; k++) {
      const [x, y] = [Math.floor(random.range(0, wide.width)), Math.floor(random.range(0, 250))];
      wide.rgb.fill(40, (y * wide.width + x) * 3, (y * wide.width + x) * 3 + 3);
    }
    expectTidy(tidied(wide));
  });

  it('dots, primes and far corners belong to the writing', async () => {
    const dotted = await formula('\\dot { x } + \\cdots + y ^ { \\prime } .');
    const out = tidied(dotted);
    const width = ({ left, right }: ReturnType<typeof inkBox>): number => right - left;
    const height = ({ top, bottom }: ReturnType<typeof inkBox>): number => bottom - top;
    const [from, to] = [inkBox(dotted), inkBox(out)];
    expect(width(to) / height(to)).toBeCloseTo(width(from) / height(from), 1);
  });

  it('a photograph: uneven light, blur, noise, JPEG', async () => {
    const photo = photographed(scaled(padded(clean, 40), 3));
    expectTidy(await tidiedFile(await jpeg(photo, 80, 1.5)), { em: 3 * EM });
  });

  it('the table that a sheet lies on is no part of the writing', async () => {
    const sheet = padded(scaled(padded(clean, 45), 3), 90, 0);
    const onTable = mapped(sheet, (v, x, y) => {
      const isTable = x < 90 || y < 90 || x >= sheet.width - 90 || y >= sheet.height - 90;
      return isTable ? 50 + ((x * 7 + y * 13) % 11) : v;
    });
    const photo = photographed(onTable);
    expectTidy(await tidiedFile(await jpeg(photo, 85, 1)), { em: 3 * EM });
  });

  it('a coarse JPEG', async () => expectTidy(await tidiedFile(await jpeg(clean, 30))));

  it('a photograph of 12 megapixels, its camera held upright', async () => {
    const big = scaled(clean, 6);
    const canvas = { width: 4000, height: 3000, rgb: new Uint8Array(4000 * 3000 * 3).fill(230) };
    for (let y = 0; y < big.height; y++)
      canvas.rgb.set(big.rgb.subarray(y * big.width * 3, (y + 1) * big.width * 3), ((y + 1200) * 4000 + 900) * 3);
    const upright = sharp(canvas.rgb, { raw: { width: 4000, height: 3000, channels: 3 } });
    // As such cameras do: the pixels lie on their side, and a note says which.
    const lying = await upright.rotate(270).jpeg().withMetadata({ orientation: 6 }).toBuffer();
    expectTidy(await tidiedFile(lying), { em: 6 * EM });
  });

  it('resizes once, to what the model makes of the wished size', () => {
    const asked: (readonly [number, number])[] = [];
    const sides = (height: number, width: number): readonly [number, number] => {
      asked.push([height, width]);
      return [56, 280];
    };
    const out = tidy(asPicture(scaled(clean, 3)), { em: EM, sides });
    expect(out).toMatchObject({ width: 280, height: 56 });
    expect(out.pixels.length).toBe(280 * 56);
    expect(asked).toHaveLength(1);
    // An em that is 15 % off at most, so are the sides.
    expect(asked[0]![1] / clean.width).toBeGreaterThan(0.85);
    expect(asked[0]![1] / clean.width).toBeLessThan(1.15);
  });

  it('estimates the em of many formulas', async () => {
    const sizes = await Promise.all(
      [
        'E = m c ^ { 2 }',
        '\\alpha + \\beta = 9 0',
        '\\sum _ { i = 1 } ^ { n } i = \\frac { n ( n + 1 ) } { 2 }',
        '\\int _ { 0 } ^ { 1 } x ^ { 2 } d x',
        '\\sqrt { a ^ { 2 } + b ^ { 2 } }',
        '\\left( \\begin{matrix} a & b \\\\ c & d \\end{matrix} \\right)',
        'A \\cup B \\subset C',
        'x = \\frac { - b \\pm \\sqrt { b ^ { 2 } - 4 a c } } { 2 a }',
        '\\lim _ { x \\rightarrow 0 } \\frac { \\sin x } { x } = 1',
        '1 2 3 + 4 5 6 = 5 7 9',
      ].map(async (latex) => {
        const drawn = scaled(await formula(latex), 2);
        const [from, to] = [inkBox(drawn), inkBox(tidied(drawn))];
        return (2 * (to.right - to.left)) / (from.right - from.left);
      }),
    );
    const near = sizes.filter((size) => Math.abs(size - 1) < 0.15);
    expect(near.length, sizes.map((size) => size.toFixed(2)).join(' ')).toBeGreaterThanOrEqual(8);
    expect(Math.max(...sizes.map((size) => Math.abs(Math.log(size))))).toBeLessThan(Math.log(1.5));
  });

  it('a small formula on a large page is found, though its ink is less than a thousandth of it', async () => {
    const small = scaled(clean, 0.5);
    const page = padded(small, 700);
    const ink = small.rgb.filter((value) => value < 128).length;
    expect(ink / page.rgb.length).toBeLessThan(0.001);
    expectTidy(tidied(page), { em: EM / 2 });
  });

  it('nothing written stays as it is, and is called blank', () => {
    const blank = mapped({ width: 60, height: 40, rgb: new Uint8Array(7200) }, () => 200);
    expect(tidied(blank)).toEqual(blank);
    const nothing = { width: 9, height: 7, channels: 4 as const, data: new Uint8Array(9 * 7 * 4) };
    expect(tidy(nothing, OPTIONS)).toMatchObject({ width: 9, height: 7, isBlank: true });
    const random = Random.from(5);
    const paper = (of: (x: number) => number): RgbImage =>
      mapped({ width: 400, height: 100, rgb: new Uint8Array(120_000) }, (_v, x) => of(x));
    const isBlank = (picture: RgbImage): boolean => tidy(asPicture(picture), OPTIONS).isBlank;
    expect(isBlank(blank)).toBe(true);
    expect(isBlank(paper(() => 0))).toBe(true);
    expect(isBlank(paper((x) => 250 - x / 8))).toBe(true);
    // A scan's noise, and two specks of dust.
    expect(isBlank(paper(() => random.range(220, 235)))).toBe(true);
    const dusty = paper(() => 255);
    for (const [x, y] of [
      [50, 20],
      [300, 70],
    ] as const)
      dusty.rgb.fill(60, (y * 400 + x) * 3, (y * 400 + x + 2) * 3);
    expect(isBlank(dusty)).toBe(true);
    expect(isBlank(clean)).toBe(false);
  });

  it('a single pixel and a line are pictures too', () => {
    const dot = { width: 1, height: 1, channels: 1 as const, data: Uint8Array.of(0) };
    expect(tidied(dot)).toMatchObject({ width: 1, height: 1 });
    const line = mapped({ width: 300, height: 9, rgb: new Uint8Array(8100) }, (_v, _x, y) => (y === 4 ? 0 : 255));
    expect(Math.min(...tidied(line).rgb)).toBeLessThan(200);
  });

  it('a damaged file is refused by name', async () => {
    const whole = encodePng({ pixels: clean.rgb, width: clean.width, height: clean.height, channels: 3 });
    await expect(tidyImage(whole.subarray(0, 400), 'cut.png', OPTIONS)).rejects.toThrow(
      /^cut\.png: not a readable image/,
    );
    await expect(tidyImage('nowhere.png', 'nowhere.png', OPTIONS)).rejects.toThrow(/cannot be read/);
  });
});
