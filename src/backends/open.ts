// Opens the backend that a device's name asks for; `auto` takes the graphics card where one can be used, else the CPU.
import type { Precision } from '../graph/types.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import type { Backend } from './contract.ts';

export const DEVICES = ['auto', 'cpu', 'cuda'] as const;
export type DeviceName = (typeof DEVICES)[number];
/** As run configurations name them; `auto` is bfloat16 on a card and float32 on the CPU. */
export const DTYPES = ['auto', 'float32', 'bfloat16'] as const;
/** What models that only read can be had in; `int8` is float32 on the CPU with its products in 8 bits. */
export const READING_DTYPES = [...DTYPES, 'int8'] as const;
export type DtypeName = (typeof READING_DTYPES)[number];

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
  const int8 = dtype === 'int8';
  if (int8 && device === 'cuda')
    throw new InputError('int8 is for the CPU, and the device is cuda: leave the device out, or take bfloat16.');
  const card = device === 'cpu' || int8 ? null : await openCard(device === 'cuda');
  if (card) return { backend: card, precision: dtype === 'float32' ? 'f32' : 'bf16' };
  if (dtype === 'bfloat16')
    throw new InputError(
      'bfloat16 needs an NVIDIA card; the CPU computes in float32: leave the dtype out, or see doctor.',
    );
  const { createOnnxBackend } = await import('./onnx/index.ts');
  return { backend: await createOnnxBackend({ threads, int8 }), precision: 'f32' };
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
