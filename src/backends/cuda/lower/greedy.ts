// The greedy choice of rows of logits (kernels/greedy.cu).
import { kernel, waiting } from '../kernels.ts';
import { ceil, type Enqueuer, i, type Lowered, p } from '../step.ts';

const CHUNK = 4096;
/** struct Found */
const FOUND_BYTES = 12;

export const greedyChoice = (_attrs: unknown, { views: [logits], outputs: [token, probability] }: Lowered) => {
  const [rows, vocabulary] = logits!.shape as [number, number];
  const chunks = ceil(vocabulary, CHUNK);
  return {
    scratch: rows * chunks * FOUND_BYTES,
    enqueue(run: Enqueuer) {
      if (rows === 0) return;
      const results = [p(run.to(token!)), p(run.to(probability!))];
      const beside = [p(run.scratch), p(run.table(Buffer.alloc(rows * 4)))];
      run.launch(waiting(kernel('greedy', 'greedy', { CHUNK })), [chunks, rows, 1], 256, [
        p(run.at(logits!)),
        ...results,
        ...beside,
        i(vocabulary),
      ]);
    },
  };
};
