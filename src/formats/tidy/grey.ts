// Colours to one channel with dark ink on light paper, whatever the colours of both were.

/** 8-bit pixels [height, width, channels]. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** One channel, [height, width]. */
export interface Grey {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Pixels that are looked at to find out the colours; more rows than that hold are passed over evenly. */
const LOOKED_AT = 50_000;

/**
 * Weighs the channels by how ink stands out in them, and turns those over in which it is lighter than the paper: red on
 * green counts in both. Nothing is stretched, so grey pictures with dark ink stay as they are to the bit.
 */
export function darkOnLight(picture: Raster): Grey {
  const { width, height, channels, data } = picture;
  const skew = skewness(picture);
  const sum = skew.reduce((total, s) => total + Math.abs(s), 0);
  // Where nothing stands out there is nothing to turn.
  const weights = skew.map((s) => (sum === 0 ? 1 / channels : -s / sum));
  if (channels === 1 && weights[0]! > 0) return { width, height, data };
  const tables = weights.map(weighed);
  const out = new Uint8Array(width * height);
  const [red, green = red, blue = red] = tables as [Float32Array, Float32Array?, Float32Array?];
  if (channels === 1) for (let i = 0; i < out.length; i++) out[i] = red[data[i]!]!;
  else
    for (let i = 0, at = 0; i < out.length; i++, at += 3)
      out[i] = red[data[at]!]! + green[data[at + 1]!]! + blue[data[at + 2]!]! + 0.5;
  return { width, height, data: out };
}

/** Of each level its weight times itself, or times what is left to white where the weight is below 0. */
function weighed(weight: number): Float32Array {
  const table = new Float32Array(256);
  for (let v = 0; v < 256; v++) table[v] = weight < 0 ? -weight * (255 - v) : weight * v;
  return table;
}

/** Distances in pixels at which a stroke, of any size of writing, has paper on both sides; no tenth of the width is. */
const REACHES = [3, 9, 27, 81];

/**
 * Of each channel the cube root of Σ d³, where d tells how much a pixel is lighter (above 0) or darker (below) than both
 * of two at the same distance left and right of it. Strokes stand out so, from paper more than paper does between two of
 * them; uneven light and the edge of a sheet do not.
 */
function skewness({ width, height, channels, data }: Raster): number[] {
  const every = Math.ceil((width * height) / LOOKED_AT);
  const reaches = REACHES.filter((reach) => reach <= Math.max(width / 10, REACHES[0]!));
  const sums = new Float64Array(channels);
  for (let y = 0; y < height; y += every)
    for (const reach of reaches) {
      const step = reach * channels;
      const end = (y + 1) * width * channels - step;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let at = y * width * channels + step + c; at < end; at += channels) {
          const value = data[at]!;
          const left = data[at - step]!;
          const right = data[at + step]!;
          if (value === left && value === right) continue;
          // value − min(value, left, right) + value − max(value, left, right), one of which is 0; without branches, for
          // in noise they are guessed wrong half of the time.
          const wider = (left - right) & ((left - right) >> 31);
          const below = value - right - wider;
          const above = value - left + wider;
          const apart = (below & (below >> 31)) + (above & ~(above >> 31));
          sum += Math.imul(Math.imul(apart, apart), apart);
        }
        sums[c]! += sum;
      }
    }
  return Array.from(sums, Math.cbrt);
}
