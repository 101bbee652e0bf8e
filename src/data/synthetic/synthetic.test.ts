// Synthetic samples: every formula is canonical and accepted by KaTeX and MathJax; samples depend on seed and index alone.
import katex from 'katex';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { canonicalTokens } from '../../eval/canonical.ts';
import { encodePng } from '../../formats/png.ts';
import { Random } from '../../shared/random.ts';
import { glyphOf } from './glyphs.ts';
import { LEVELS, randomFormula, TOKEN_RANGE, tokensOf } from './grammar.ts';
import { writeByHand } from './handwritten.ts';
import { Canvas } from './raster.ts';
import { drawSample } from './sample.ts';
import { skeletonOf } from './skeleton.ts';
import { typeset } from './typeset.ts';

describe.each(LEVELS)('grammar %s', (level) => {
  const formulas = Array.from({ length: 400 }, (_, i) => randomFormula(7, i, level));

  it('writes token-spaced formulas of the level', () => {
    const [least, most] = TOKEN_RANGE[level];
    for (const formula of formulas) {
      const tokens = tokensOf(formula);
      expect(tokens.join(' ')).toBe(formula);
      expect(tokens.length).toBeGreaterThanOrEqual(least);
      expect(tokens.length).toBeLessThanOrEqual(most);
    }
    // One in three of level tiny is a single symbol, of 108.
    expect(new Set(formulas).size).toBeGreaterThan(level === 'tiny' ? 340 : 380);
  });

  it('writes the spelling that scores compare', () => {
    for (const formula of formulas) expect(canonicalTokens(formula).tokens.join(' ')).toBe(formula);
  });

  it('is accepted by KaTeX and MathJax', async () => {
    for (const formula of formulas) {
      const html = katex.renderToString(formula, { displayMode: true, throwOnError: true, strict: 'error' });
      expect(html).toContain('katex');
      expect((await typeset(formula)).pieces.length).toBeGreaterThan(0);
    }
  });
});

describe.each(['printed', 'handwritten', 'scrawl'] as const)('samples %s', (style) => {
  it('are the same for the same seed and index, in any order', async () => {
    const options = { seed: 5, style, level: 'easy' } as const;
    const first = [await drawSample(options, 3), await drawSample(options, 9)];
    const again = [await drawSample(options, 9), await drawSample(options, 3)].reverse();
    for (const [i, sample] of first.entries()) {
      expect(sample.latex).toBe(again[i]!.latex);
      expect(sample.pixels).toEqual(again[i]!.pixels);
    }
    expect((await drawSample({ ...options, seed: 6 }, 3)).pixels).not.toEqual(first[0]!.pixels);
  });

  it.each(LEVELS)('are readable pictures within bounds, ink on paper: %s', async (level) => {
    for (let i = 0; i < 25; i++) {
      const picture = await drawSample({ seed: 1, style, level }, i);
      const { width, height } = picture;
      const { data, info } = await sharp(encodePng(picture)).greyscale().raw().toBuffer({ resolveWithObject: true });
      expect([info.width, info.height]).toEqual([width, height]);
      expect(width).toBeLessThanOrEqual(400);
      expect(height).toBeGreaterThanOrEqual(28);
      expect(height).toBeLessThanOrEqual(level === 'hard' ? 120 : 84);
      const sorted = [...data].sort((a, b) => a - b);
      const paper = sorted[Math.floor(sorted.length / 2)]!;
      expect(paper - sorted[Math.floor(sorted.length / 200)]!).toBeGreaterThan(60);
    }
  });
});

it('fills exactly the area of a polygon', () => {
  const canvas = new Canvas(10, 10);
  canvas.fill(Float64Array.of(1.25, 2.5, 7.75, 2.5, 7.75, 6.25, 1.25, 6.25));
  expect(canvas.ink().reduce((sum, ink) => sum + ink, 0)).toBeCloseTo(6.5 * 3.75, 4);
  const triangle = new Canvas(12, 12);
  triangle.fill(Float64Array.of(1, 1, 11, 4, 3, 10));
  expect(triangle.ink().reduce((sum, ink) => sum + ink, 0)).toBeCloseTo(42, 3);
});

it('thins dots to dots and crosses to crosses', async () => {
  expect(skeletonOf(glyphOf('M0 0L100 0L100 100L0 100Z')).length).toBeGreaterThan(0);
  for (const [latex, dots] of [
    ['\\cdot', 1],
    ['.', 1],
    ['\\div', 3],
    ['i', 2],
  ] as const) {
    const glyph = (await typeset(latex)).pieces[0]!;
    expect(skeletonOf(glyph).length, latex).toBeGreaterThanOrEqual(dots);
  }
  for (const [latex, least] of [
    ['\\times', 400],
    ['+', 500],
    ['x', 300],
  ] as const) {
    const glyph = (await typeset(latex)).pieces[0]!;
    const xs = skeletonOf(glyph).flatMap((line) => [...line.filter((_, i) => i % 2 === 0)]);
    expect(Math.max(...xs) - Math.min(...xs)).toBeGreaterThan(least);
  }
});

it('gives a writer a form of their own for a letter, the same wherever it stands', async () => {
  const steady = { pen: 30, wobble: 0, shift: 0, turn: 0, scale: 0, drift: 0, pressure: 0 };
  const formula = await typeset('x x');
  const forms = (writer?: number): number[][] => {
    const strokes = writeByHand(formula, { ...steady, writer }, Random.from(1));
    // Relative to where each letter stands, in whole font units.
    return [0, 1].map((letter) => {
      const half = strokes.slice((letter * strokes.length) / 2, ((letter + 1) * strokes.length) / 2);
      const points = half.flatMap((stroke) => [...stroke.points]);
      return points.map((value, i) => Math.round(value - points[i % 2]!));
    });
  };
  const [book] = forms();
  const [own, again] = forms(1);
  expect(own!.length).toBeGreaterThan(10);
  expect(again).toEqual(own);
  expect(own).not.toEqual(book);
  expect(forms(2)[0]).not.toEqual(own);
});

it('writes PNG that sharp reads back', async () => {
  const pixels = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => (i * 37) % 256);
  const back = await sharp(encodePng({ pixels, width: 5, height: 4, channels: 3 }))
    .raw()
    .toBuffer();
  expect([...back]).toEqual([...pixels]);
});

it('names a formula that cannot be set', async () => {
  await expect(typeset('\\frac { a')).rejects.toThrow(/formula .*MathJax cannot set it/);
});
