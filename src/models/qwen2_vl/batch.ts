// Turns placed samples into the input tensors of a packed program.
import type { Tensors } from '../../backends/contract.ts';
import { hostArray, type Precision } from '../../graph/types.ts';
import { InputError } from '../../shared/errors.ts';
import type { Qwen2VLConfig } from './config.ts';
import { mropePositions, visionPositions } from './positions.ts';
import { patchify, type ResizedImage } from './processor.ts';
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

/** Inputs patches, in what is computed in, patch_rows, patch_columns and patch_segments of images in vision rows. */
export function patchInputs(
  config: Qwen2VLConfig,
  { patches, patchRow }: Pick<Bucket, 'patches' | 'patchRow'>,
  placed: readonly PlacedImage[],
  precision: Precision = 'f32',
): Tensors {
  const { mergeSize, patchSize, temporalPatchSize, inChannels } = config.vision;
  const width = inChannels * temporalPatchSize * patchSize ** 2;
  const pixels = hostArray({ dtype: precision, shape: [patches * width] }) as Float32Array | Uint16Array;
  const rows = new Int32Array(patches);
  const columns = new Int32Array(patches);
  const segments = new Int32Array(patches);
  const segmentsInRow = new Map<number, number>();
  for (const { image, start } of placed) {
    const [frames, high, wide] = image.grid;
    const count = frames * high * wide;
    patchify(image, config, pixels, start * width);
    const places = visionPositions([image.grid], mergeSize);
    const row = Math.floor(start / patchRow);
    const used = (segmentsInRow.get(row) ?? 0) + 1;
    segmentsInRow.set(row, used + frames - 1);
    for (let p = 0; p < count; p++) {
      rows[start + p] = places[2 * p] as number;
      columns[start + p] = places[2 * p + 1] as number;
      segments[start + p] = used + Math.floor(p / (high * wide));
    }
  }
  return { patches: pixels, patch_rows: rows, patch_columns: columns, patch_segments: segments };
}

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
  precision: Precision = 'f32',
): Tensors {
  const { tokens, labels } = bucket;
  const area = config.vision.mergeSize ** 2;
  const ids = new Int32Array(tokens);
  const positions = new Int32Array(3 * tokens);
  const segments = new Int32Array(tokens);
  const imageIndex = new Int32Array(tokens).fill(-1);
  // Rows without a label weigh nothing. They are spread, for the sum of the gradients of one row is no parallel work.
  const labelRows = Int32Array.from({ length: labels }, (_, i) => i % tokens);
  const targets = new Int32Array(labels);
  const weights = new Float32Array(labels);
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
  return {
    ids,
    positions,
    segments,
    image_index: imageIndex,
    ...(bucket.features ? {} : patchInputs(config, bucket, images, precision)),
    label_rows: labelRows,
    targets,
    weights,
  };
}
