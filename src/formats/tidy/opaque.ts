// Transparency laid on a colour from which what is drawn stands out.
import type { Raster } from './grey.ts';

/** 8-bit pixels [height, width, channels]; 2 and 4 channels end with alpha. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
  readonly data: Uint8Array;
}

/**
 * Where most of a picture is transparent, what is seen is ink, and goes on white if it is dark and on black if it is
 * light. Where most is seen, that is the paper too, and holes take its colour (the median).
 */
export function opaque({ width, height, channels, data }: Picture): Raster {
  if (channels === 1 || channels === 3) return { width, height, channels, data };
  const colours = channels === 2 ? 1 : 3;
  const count = width * height;
  // by channel, the levels of what is seen
  const levels = Array.from({ length: colours }, () => new Uint32Array(256));
  let seen = 0;
  for (let i = 0, at = 0; i < count; i++, at += channels) {
    if (data[at + colours]! < 128) continue;
    seen++;
    for (let c = 0; c < colours; c++) levels[c]![data[at + c]!]!++;
  }
  const medians = levels.map((counts) => median(counts, seen));
  const light = medians.reduce((sum, level) => sum + level, 0) / colours;
  const paper = seen > count / 2 ? medians : medians.map(() => (light < 128 ? 255 : 0));
  const out = new Uint8Array(count * colours);
  for (let i = 0, at = 0, to = 0; i < count; i++, at += channels) {
    const alpha = data[at + colours]!;
    for (let c = 0; c < colours; c++) out[to++] = Math.round((data[at + c]! * alpha + paper[c]! * (255 - alpha)) / 255);
  }
  return { width, height, channels: colours, data: out };
}

/** The level that half of `total` values do not exceed. */
export function median(counts: Uint32Array, total: number): number {
  let [level, below] = [0, counts[0]!];
  while (level < 255 && below < total / 2) below += counts[++level]!;
  return level;
}
