// The sampled choice of rows of scores (kernels/sampling.cu).
import { kernel, waiting } from '../kernels.ts';
import { ceil, type Enqueuer, i, type Lowered, p } from '../step.ts';

const CHUNK = 4096;
/** A score's 32 bits from the highest digit down. */
const DIGITS = [
  { shift: 21, bits: 11 },
  { shift: 10, bits: 11 },
  { shift: 0, bits: 10 },
];
const BINS = 2 ** 11;
const WEIGHT_BYTES = 8;

export const sampledChoice = (
  _attrs: unknown,
  { views: [scores, largest, points, temperature, topK, topP], outputs: [token] }: Lowered,
) => {
  const [rows, vocabulary] = scores!.shape as [number, number];
  const chunks = ceil(vocabulary, CHUNK);
  // Weights first, for they lie at multiples of their size: what digits need, the chunks' masses, and both filters.
  const [needBytes, chunkBytes] = [rows * WEIGHT_BYTES, rows * chunks * WEIGHT_BYTES];
  return {
    scratch: needBytes + chunkBytes + 2 * rows * 4,
    enqueue(run: Enqueuer) {
      if (rows === 0) return;
      const need = run.scratch;
      const masses = need + needBytes;
      const [countFloor, massFloor] = [masses + chunkBytes, masses + chunkBytes + rows * 4];
      const arrivals = run.table(Buffer.alloc(rows * 4));
      const grid = [chunks, rows, 1] as const;
      const [x, top, warmth] = [scores!, largest!, temperature!].map((view) => p(run.at(view)));
      if (topK && topP) {
        const histogram = run.table(Buffer.alloc(rows * BINS * WEIGHT_BYTES));
        const filter = (floor: number, least: number, count: number, share: number) => {
          for (const { shift, bits } of DIGITS)
            run.launch(waiting(kernel('sampling', 'least_digit', { CHUNK })), grid, 256, [
              ...[x!, top!, warmth!, p(count), p(share), p(floor), p(least), p(need), p(histogram), p(arrivals)],
              ...[i(vocabulary), i(shift), i(bits)],
            ]);
        };
        filter(0, countFloor, run.at(topK), 0);
        filter(countFloor, massFloor, 0, run.at(topP));
      }
      run.launch(waiting(kernel('sampling', 'pick', { CHUNK })), grid, 256, [
        ...[x!, top!, warmth!, p(run.at(points!)), p(topP ? massFloor : 0)],
        ...[p(run.to(token!)), p(masses), p(arrivals), i(vocabulary)],
      ]);
    },
  };
};
