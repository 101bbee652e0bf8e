// A CUDA device ready for programs: the loaded libraries, the streams, the compiler's and the products' caches, and the
// arena that all programs share, since one runs after another.
import { homedir } from 'node:os';
import { join } from 'node:path';
import { RunError } from '../../shared/errors.ts';
import { BlasLt } from './ffi/cublaslt.ts';
import { Driver, type Handle, type Pointer } from './ffi/driver.ts';
import { findLibraries, type LibraryPaths } from './ffi/library.ts';
import { Compiler } from './ffi/nvrtc.ts';
import { Kernels } from './kernels.ts';

export interface CudaOptions {
  /** which card, from 0 */
  readonly device?: number;
  /** where compiled kernels and measured choices are kept */
  readonly cache?: string;
  /** false takes cuBLASLt's first choice of algorithm instead of measuring */
  readonly measure?: boolean;
  /** launches one by one and waits after each, so that an error names the step that made it */
  readonly debug?: boolean;
  /** is told how long every step took on the device; steps then run one by one */
  readonly profile?: (label: string, milliseconds: number) => void;
  /** false has every kernel begin when the one in front of it has ended */
  readonly overlap?: boolean;
  /** paths of the libraries, found in the usual places unless given */
  readonly libraries?: LibraryPaths;
}

/** The oldest architecture whose instructions the kernels use (bfloat16 products, asynchronous copies). */
export const LEAST_CAPABILITY = 80;

const cacheFolder = (): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'texlens', 'cuda');

export class Device {
  readonly driver: Driver;
  readonly kernels: Kernels;
  readonly blas: BlasLt;
  readonly stream: Handle;
  /** copies of inputs run beside the arithmetic */
  readonly copyStream: Handle;
  /** launches one by one, without a captured graph */
  readonly debug: boolean;
  readonly profile: CudaOptions['profile'];
  readonly overlap: boolean;
  arena: { pointer: Pointer; bytes: number } = { pointer: 0, bytes: 0 };

  constructor(options: CudaOptions) {
    const libraries = options.libraries ?? findLibraries();
    if ('missing' in libraries) throw new RunError(`CUDA: ${libraries.missing}, or use --device cpu.`);
    this.driver = new Driver(libraries.cuda, options.device ?? 0);
    const { capability, name, driver } = this.driver.info;
    if (capability < LEAST_CAPABILITY)
      throw new RunError(
        `CUDA: ${name} has compute capability ${(capability / 10).toFixed(1)}; expected 8.0 or newer. Use --device cpu.`,
      );
    const cache = options.cache ?? cacheFolder();
    // From Hopper on, the suffix opens the instructions of that architecture alone.
    const architecture = `sm_${capability}${capability >= 90 ? 'a' : ''}`;
    this.stream = this.driver.createStream();
    this.copyStream = this.driver.createStream();
    this.kernels = new Kernels(this.driver, new Compiler(libraries.nvrtc, architecture, join(cache, 'kernels')));
    const choices = join(cache, `products-${name.replaceAll(/\W+/g, '-')}-${driver}.json`);
    this.blas = new BlasLt(libraries.cublasLt, this.driver, this.stream, choices, options.measure ?? true);
    this.profile = options.profile;
    this.overlap = this.driver.info.overlaps && (options.overlap ?? true);
    this.debug = options.debug ?? (options.profile !== undefined || process.env.TEXLENS_CUDA_DEBUG === '1');
  }

  /** Sees to it that the arena holds so many bytes; programs bind again when it moves. */
  reserve(bytes: number, what: string): void {
    if (this.arena.bytes >= bytes) return;
    this.settle();
    if (this.arena.pointer) this.driver.free(this.arena.pointer);
    this.arena = { pointer: 0, bytes: 0 };
    this.arena = { pointer: this.driver.allocate(bytes, what), bytes };
  }

  /** Waits for all that is enqueued. */
  settle(): void {
    this.driver.synchronize(this.copyStream, 'uploads');
    this.driver.synchronize(this.stream, 'the programs before');
  }
}
