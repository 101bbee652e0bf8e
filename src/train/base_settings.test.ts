// How pictures are sized and tidied by what the configuration, the base and nobody says.
import { describe, expect, it } from 'vitest';
import type { TrainedSettings } from '../models/qwen2_vl/trained_settings.ts';
import { fillImage } from './base_settings.ts';

const BASE: TrainedSettings = {
  prompt: 'x',
  replaces: true,
  sizing: { minPixels: 784, maxPixels: 313_600 },
  tidy: { em: 36 },
};
const FIXED: TrainedSettings = { prompt: 'x', replaces: true, sizing: { resizedHeight: 56, resizedWidth: 280 } };

describe('fillImage', () => {
  it('takes the tutorial’s bounds where no one says any, and follows the one that is given', () => {
    expect(fillImage({}, null)).toEqual({ min_pixels: 28_224, max_pixels: 56_448 });
    expect(fillImage({ max_pixels: 7840 }, null)).toEqual({ min_pixels: 7840, max_pixels: 7840 });
    expect(fillImage({ min_pixels: 100_000 }, null)).toEqual({ min_pixels: 100_000, max_pixels: 100_000 });
    expect(fillImage({ tidy_em: 24 }, null)).toEqual({ tidy_em: 24, min_pixels: 28_224, max_pixels: 56_448 });
  });

  it('takes the base’s, but what is given counts', () => {
    expect(fillImage({}, BASE)).toEqual({ tidy_em: 36, min_pixels: 784, max_pixels: 313_600 });
    expect(fillImage({ tidy_em: 0 }, BASE)).toEqual({ tidy_em: 0, min_pixels: 784, max_pixels: 313_600 });
    expect(fillImage({ max_pixels: 50_176 }, BASE)).toEqual({ tidy_em: 36, min_pixels: 784, max_pixels: 50_176 });
    const size = { resized_height: 100, resized_width: 500 };
    expect(fillImage(size, BASE)).toEqual({ ...size, tidy_em: 36 });
  });

  it('takes a base’s one size, and the usual bounds beside one that is given', () => {
    expect(fillImage({}, FIXED)).toEqual({ resized_height: 56, resized_width: 280 });
    expect(fillImage({ max_pixels: 50_176 }, FIXED)).toEqual({ min_pixels: 28_224, max_pixels: 50_176 });
  });
});
