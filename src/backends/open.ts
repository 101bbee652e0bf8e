// Opens the backend that a device's name asks for; `auto` takes the graphics card where one can be used, else the CPU.
import type { Precision } from '../graph/types.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import type { Backend } from './contract.ts';

export const DEVICES = ['auto', 'cpu', 'cuda'] as const;
export type DeviceName = (typeof DEVICES)[number];
/** As run configurations name them; `auto` is bfloat16 on a card and float32 on the CPU. */
export const DTYPES = ['auto', 'float32', 'bfloat16'] as const;
export type DtypeName = (typeof DTYPES)[number];

export interface OpenOptions {
  readonly device?: DeviceName;
  readonly dtype?: DtypeName;
  /** CPU threads; one a core unless given */
  readonly threads?: number;
}

export interface OpenedBackend {
  readonly backend: Backend;
  readonly precision: Precision;
}

export async function openBackend({ device = 'auto', dtype = 'auto', threads }: OpenOptions): Promise<OpenedBackend> {
  const card = device === 'cpu' ? null : await openCard(device === 'cuda');
  if (card) return { backend: card, precision: dtype === 'float32' ? 'f32' : 'bf16' };
  if (dtype === 'bfloat16')
    throw new InputError(
      'bfloat16 needs an NVIDIA card; the CPU computes in float32: leave the dtype out, or see doctor.',
    );
  const { createOnnxBackend } = await import('./onnx/index.ts');
  return { backend: await createOnnxBackend({ threads }), precision: 'f32' };
}

/** The card's backend; null where none can be used and none was asked for by name. */
async function openCard(required: boolean): Promise<Backend | null> {
  const { findLibraries } = await import('./cuda/ffi/library.ts');
  if (!required && 'missing' in findLibraries()) return null;
  const { createCudaBackend } = await import('./cuda/index.ts');
  try {
    return await createCudaBackend();
  } catch (error) {
    if (required) throw error;
    say(`the graphics card cannot be used (${messageOf(error)}); going on with the CPU`);
    return null;
  }
}
