// Turns placed samples into the input tensors of a packed program.
import type { Tensors } from '../../backends/contract.ts';
import { InputError } from '../../shared/errors.ts';
import type { Qwen2VLConfig } from './config.ts';
import { mropePositions, visionPositions } from './positions.ts';
import type { ResizedImage } from './processor.ts';
import type { Bucket } from './programs.ts';

/** One sample ready for packing: token ids with expanded image pads and its resized images. */
export interface EncodedSample {
  readonly name: string;
  readonly ids: Int32Array;
  /** index of the first supervised token; ids.length when there is none */
  readonly labelStart: number;
  readonly images: readonly ResizedImage[];
}

/** A sample and where it lies in the batch. */
export interface PlacedSample {
  readonly sample: EncodedSample;
  readonly start: number;
  readonly segment: number;
  readonly patchStarts: readonly number[];
}

/** An image and the first of the patches, in a batch, that are its own. */
export interface PlacedImage {
  readonly image: ResizedImage;
  readonly start: number;
}

const patchTensors = ({ vision }: Qwen2VLConfig, { patches }: Pick<Bucket, 'patches'>) => ({
  pixels: new Uint8Array(patches * vision.inChannels * vision.patchSize ** 2),
  patch_rows: new Int32Array(patches),
  patch_columns: new Int32Array(patches),
  patch_segments: new Int32Array(patches),
});

/** Inputs pixels, patch_rows, patch_columns and patch_segments of images in vision rows. */
export function patchInputs(
  config: Qwen2VLConfig,
  bucket: Pick<Bucket, 'patches' | 'patchRow'>,
  placed: readonly PlacedImage[],
  out = patchTensors(config, bucket),
): Tensors {
  const { pixels, patch_rows: rows, patch_columns: columns, patch_segments: segments } = out;
  for (const array of [pixels, rows, columns, segments]) array.fill(0);
  const { mergeSize, patchSize, inChannels } = config.vision;
  const width = inChannels * patchSize ** 2;
  const segmentsInRow = new Map<number, number>();
  for (const { image, start } of placed) {
    const [frames, high, wide] = image.grid;
    pixels.set(image.pixels, start * width);
    const places = visionPositions(image.grid, mergeSize);
    rows.set(places.rows, start);
    columns.set(places.columns, start);
    const row = Math.floor(start / bucket.patchRow);
    const used = segmentsInRow.get(row) ?? 0;
    for (let frame = 0, at = start; frame < frames; frame++, at += high * wide)
      segments.fill(used + frame + 1, at, at + high * wide);
    segmentsInRow.set(row, used + frames);
  }
  return out;
}

/** The arrays of a batch's inputs. They can be filled again when the run that reads them has ended. */
export const packedTensors = (config: Qwen2VLConfig, bucket: Bucket) => ({
  tokens: {
    ids: new Int32Array(bucket.tokens),
    positions: new Int32Array(3 * bucket.tokens),
    segments: new Int32Array(bucket.tokens),
    image_index: new Int32Array(bucket.tokens),
    label_rows: new Int32Array(bucket.labels),
    targets: new Int32Array(bucket.labels),
    weights: new Float32Array(bucket.labels),
  },
  patches: bucket.features ? null : patchTensors(config, bucket),
});

export type BatchTensors = ReturnType<typeof packedTensors>;

/**
 * Inputs ids, positions, segments, image_index, label_rows, targets and weights of a batch, and its patches unless the
 * bucket takes features that were made before (patchStarts then count in their rows · merge²). Every label token weighs
 * `weight`.
 */
export function packedInputs(
  config: Qwen2VLConfig,
  bucket: Bucket,
  placed: readonly PlacedSample[],
  weight: number,
  out = packedTensors(config, bucket),
): Tensors {
  const { tokens } = bucket;
  const { ids, positions, segments, image_index: imageIndex, label_rows: labelRows, targets, weights } = out.tokens;
  for (const array of [ids, positions, segments, targets, weights]) array.fill(0);
  imageIndex.fill(-1);
  // Rows without a label weigh nothing. They are spread, for the sum of the gradients of one row is no parallel work.
  for (let i = 0; i < labelRows.length; i++) labelRows[i] = i % tokens;
  const area = config.vision.mergeSize ** 2;
  const images: PlacedImage[] = [];
  let label = 0;

  for (const { sample, start, segment, patchStarts } of placed) {
    const length = sample.ids.length;
    ids.set(sample.ids, start);
    segments.fill(segment, start, start + length);
    const grids = sample.images.map((image) => image.grid);
    const own = mropePositions(sample.ids, grids, config).positions;
    for (let axis = 0; axis < 3; axis++)
      positions.set(own.subarray(axis * length, (axis + 1) * length), axis * tokens + start);

    let token = 0;
    sample.images.forEach((image, i) => {
      const [frames, height, columns] = image.grid;
      const at = patchStarts[i] as number;
      images.push({ image, start: at });
      const merged = (frames * height * columns) / area;
      for (let m = 0; m < merged; m++) {
        while (sample.ids[token] !== config.imageTokenId) {
          token++;
          if (token >= length)
            throw new InputError(`${sample.name}: fewer image tokens than its image has features; the prompt was cut`);
        }
        imageIndex[start + token++] = at / area + m;
      }
    });

    for (let t = sample.labelStart; t < length; t++, label++) {
      labelRows[label] = start + t - 1;
      targets[label] = sample.ids[t] as number;
      weights[label] = weight;
    }
  }
  return { ...out.tokens, ...(out.patches && patchInputs(config, bucket, images, out.patches)) };
}
