// What must be equal for a run to be resumed, as one hash: settings, samples, formulas, and the weights of the base model.
import { createHash, type Hash } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';

export interface RunParts {
  readonly settings: unknown;
  readonly samples: readonly EncodedSample[];
  /** of the lists that are drawn from */
  readonly formulas: readonly string[];
  /** the base model's folder */
  readonly model: string;
}

/** Part after part, for a large data set is longer than a string may be. */
export async function identityOf({ settings, samples, formulas, model }: RunParts): Promise<string> {
  const hash = createHash('sha256');
  const text = (value: unknown) => hash.update(`${JSON.stringify(value)}\n`);
  text(settings);
  for (const { name, ids } of samples) {
    text([name, ids.length]);
    hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  for (const formula of formulas) text(formula);
  await addWeights(hash, model);
  return hash.digest('hex').slice(0, 16);
}

const PIECES = 256;
const PIECE_BYTES = 4096;

/** Pieces of the weights' files that lie evenly: no two trainings leave all of them alike, and to read all takes minutes. */
async function addWeights(hash: Hash, folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort();
  for (const name of names) {
    const file = await open(join(folder, name));
    try {
      const { size } = await file.stat();
      hash.update(`${size}\n`);
      const step = Math.max(PIECE_BYTES, Math.floor(size / PIECES));
      const piece = Buffer.alloc(PIECE_BYTES);
      for (let at = 0; at < size; at += step) {
        const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, at);
        hash.update(piece.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  }
}
