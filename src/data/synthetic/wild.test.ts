// The style set wild: what its pictures look like to someone who meets them, and that formulas of lists become samples.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RunError } from '../../shared/errors.ts';
import { lookOf } from './formula_lists.ts';
import { randomFormula } from './grammar.ts';
import { type DrawnSample, drawLine, drawSample } from './sample.ts';

const COUNT = 300;
const options = { seed: 11, style: 'wild', level: 'easy' } as const;

function listOf(...lines: string[]): string {
  const path = join(mkdtempSync(join(tmpdir(), 'texlens-list-')), 'list.txt');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/** Grey levels, darkest first. */
function levels({ pixels, channels }: DrawnSample): Float64Array {
  return Float64Array.from({ length: pixels.length / channels }, (_, i) => {
    const at = i * channels;
    return channels === 1 ? pixels[at]! : (pixels[at]! + pixels[at + 1]! + pixels[at + 2]!) / 3;
  }).sort();
}

describe('samples of the set wild', async () => {
  const samples: DrawnSample[] = [];
  for (let i = 0; i < COUNT; i++) samples.push(await drawSample(options, i));
  const greys = new Map(samples.map((sample) => [sample, levels(sample)]));
  const middle = (grey: Float64Array): number => grey[Math.floor(grey.length / 2)]!;
  const share = (holds: (sample: DrawnSample) => boolean): number => samples.filter(holds).length / samples.length;

  it('keep to the sizes, and have ink that stands out from the paper', () => {
    for (const sample of samples) {
      expect(sample.width).toBeGreaterThanOrEqual(12);
      expect(sample.width).toBeLessThanOrEqual(1000);
      expect(sample.height).toBeGreaterThanOrEqual(12);
      expect(sample.height).toBeLessThanOrEqual(260);
      expect(sample.pixels).toHaveLength(sample.width * sample.height * sample.channels);
      const grey = greys.get(sample)!;
      const at = (part: number): number => grey[Math.floor(part * (grey.length - 1))]!;
      expect(Math.max(at(0.5) - at(0.002), at(0.998) - at(0.5)), sample.latex).toBeGreaterThan(30);
    }
  });

  // Of 300, three standard deviations are 0.052.
  it('are in a tenth of cases light on dark', () => {
    const dark = share((sample) => middle(greys.get(sample)!) < 128);
    expect(dark).toBeGreaterThan(0.1 - 0.052);
    expect(dark).toBeLessThan(0.1 + 0.052);
  });

  it('are in a third or more of cases black on white, and coloured in some', () => {
    const clean = share((sample) => {
      const grey = greys.get(sample)!;
      return sample.channels === 1 && grey[0]! < 110 && middle(grey) === 255;
    });
    expect(clean).toBeGreaterThan(0.35);
    expect(clean).toBeLessThan(0.6);
    expect(share(({ channels }) => channels === 3)).toBeGreaterThan(0.15);
  });

  it('range from crops at the ink to wide margins', () => {
    const touching = share(({ pixels, width, height, channels }) => {
      const row = width * channels;
      const edge = [...pixels.subarray(0, row), ...pixels.subarray((height - 1) * row)];
      return Math.max(...edge) - Math.min(...edge) > 80;
    });
    expect(touching).toBeGreaterThan(0.05);
    expect(Math.max(...samples.map(({ height }) => height))).toBeGreaterThan(110);
    expect(Math.min(...samples.map(({ height }) => height))).toBeLessThan(25);
  });

  it('are the same in another order, and others with another seed', async () => {
    for (const i of [COUNT - 1, 100, 0]) expect((await drawSample(options, i)).pixels).toEqual(samples[i]!.pixels);
    expect((await drawSample({ ...options, seed: 12 }, 0)).pixels).not.toEqual(samples[0]!.pixels);
  });
});

describe('formulas of lists', () => {
  const lines = Array.from({ length: 40 }, (_, i) => randomFormula(3, i, 'medium'));

  it('are each drawn once before any is drawn twice, by hand too', async () => {
    for (const style of ['wild', 'handwritten'] as const) {
      const mix = { ...options, style, formulas: [listOf(...lines)], grammar: 0 };
      const drawn: string[] = [];
      for (let i = 0; i < 40; i++) drawn.push((await drawSample(mix, i)).latex);
      expect(drawn.toSorted()).toEqual(lines.toSorted());
      expect(drawn).not.toEqual(lines);
    }
  });

  it('are drawn in several looks, each once, as far apart as told and in an order of their own', async () => {
    const looks = { looks: 3, apart: 10 };
    const places = Array.from({ length: 60 }, (_, index) => ({ index, ...lookOf(looks, index) }));
    expect(new Set(places.map(({ formula, look }) => `${formula}.${look}`)).size).toBe(60);
    for (const { index, formula, look } of places.filter(({ look }) => look < 2))
      if (index < 50) expect(lookOf(looks, index + 10)).toEqual({ formula, look: look + 1 });
    // Of the ten that follow the first ones, those of a third or so begin a formula.
    expect(places.slice(10, 20).filter(({ look }) => look === 0)).toHaveLength(3);

    const mix = { ...options, formulas: [listOf(...lines)], grammar: 0.3, varied: 0.5, ...looks };
    const drawn: DrawnSample[] = [];
    for (let i = 0; i < 40; i++) drawn.push(await drawSample(mix, i));
    const labels = new Map<number, string>();
    for (const { index, formula, look } of places.slice(0, 40)) {
      const { latex, pixels } = drawn[index]!;
      expect(latex).toBe(labels.get(formula) ?? latex);
      labels.set(formula, latex);
      if (look > 0 && index >= 10) expect(pixels).not.toEqual(drawn[index - 10]!.pixels);
    }
    // Whatever was drawn before, and typeset already.
    for (const i of [31, 2, 17]) expect((await drawSample(mix, i)).pixels).toEqual(drawn[i]!.pixels);
    const fresh = { ...mix, seed: 99 };
    const last = await drawSample(fresh, 25);
    await drawSample(fresh, 15);
    expect((await drawSample(fresh, 25)).pixels).toEqual(last.pixels);
  });

  it('are mixed with formulas of the grammar', async () => {
    const mix = { ...options, formulas: [listOf(...lines)], grammar: 0.5 };
    const drawn: string[] = [];
    for (let i = 0; i < 60; i++) drawn.push((await drawSample(mix, i)).latex);
    const made = drawn.filter((latex) => !lines.includes(latex)).length;
    // 30 are expected, with a standard deviation of 3.9.
    expect(made).toBeGreaterThan(15);
    expect(made).toBeLessThan(45);
  });

  it('make way for the next line when they cannot be drawn, or say why', async () => {
    const mix = { ...options, formulas: [listOf('\\frac { a', 'x + y')], grammar: 0 };
    const drawn = await Promise.all([drawSample(mix, 0), drawSample(mix, 1)]);
    expect(drawn.map(({ latex }) => latex)).toEqual(['x + y', 'x + y']);
    expect(drawn.map(({ skipped }) => skipped).toSorted()).toEqual([0, 1]);
    const told = await Promise.all([drawLine(mix, 0), drawLine(mix, 1)]);
    expect(told.filter((sample) => 'fault' in sample)).toMatchObject([
      { fault: 'formula that cannot be set', detail: expect.stringContaining('\\frac { a') as string },
    ]);
    const large = { ...options, style: 'printed', formulas: [listOf(lines.join(' + '))], grammar: 0 } as const;
    expect(await drawLine(large, 0)).toMatchObject({ fault: 'formula too large for the picture' });
    await expect(drawSample(large, 0)).rejects.toThrow(RunError);
  });

  it('names a list that is not there, or is empty', async () => {
    await expect(drawSample({ ...options, formulas: ['/nowhere/list.txt'] }, 0)).rejects.toThrow(
      /\/nowhere\/list\.txt: cannot be read/,
    );
    await expect(drawSample({ ...options, formulas: [listOf(' ')] }, 0)).rejects.toThrow(/holds no formula/);
  });
});
