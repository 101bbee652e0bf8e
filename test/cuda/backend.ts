// The CUDA backend for tests: on the card of this machine, or on the emulator where there is none.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../src/backends/contract.ts';
import { findLibraries } from '../../src/backends/cuda/ffi/library.ts';
import { createCudaBackend } from '../../src/backends/cuda/index.ts';
import { buildEmulator } from './emulator/build.ts';

export interface TestedCuda {
  readonly title: string;
  /** null where neither a card nor a compiler for the emulator is */
  readonly backend: Backend | null;
  readonly emulated: boolean;
}

export async function openCuda(): Promise<TestedCuda> {
  const libraries = findLibraries();
  if (!('missing' in libraries))
    return { title: 'this machine’s card', backend: await createCudaBackend({ libraries }), emulated: false };
  const library = await buildEmulator();
  if (library === null) return { title: 'no card and no emulator (not run)', backend: null, emulated: true };
  const all = { cuda: library, nvrtc: library, cublasLt: library };
  const cache = mkdtempSync(join(tmpdir(), 'texlens-cuda-'));
  return {
    title: 'the emulator (no card here)',
    backend: await createCudaBackend({ libraries: all, cache, measure: false }),
    emulated: true,
  };
}
