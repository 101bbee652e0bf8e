// A device for the tests of single kernels: the backend's own driver and compiler, over this machine's card or, where
// there is none, over the emulator.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Argument, Driver, type Handle, type Pointer, packArguments } from '../../src/backends/cuda/ffi/driver.ts';
import { findLibraries, type LibraryPaths } from '../../src/backends/cuda/ffi/library.ts';
import { Compiler } from '../../src/backends/cuda/ffi/nvrtc.ts';
import { type Kernel, Kernels } from '../../src/backends/cuda/kernels.ts';
import { buildEmulator } from './emulator/build.ts';

/** The emulator as the three libraries, or null where it cannot be built. */
export async function emulatedLibraries(): Promise<LibraryPaths | null> {
  const library = await buildEmulator();
  return library === null ? null : { cuda: library, nvrtc: library, cublasLt: library };
}

/** This machine's card, else the emulator, else null. */
export async function testedLibraries(): Promise<LibraryPaths | null> {
  const libraries = findLibraries();
  return 'missing' in libraries ? emulatedLibraries() : libraries;
}

export interface TestLaunch {
  readonly grid: readonly [number, number, number];
  readonly block: number;
  readonly args: readonly Argument[];
}

export class TestDevice {
  readonly driver: Driver;
  readonly stream: Handle;
  private readonly kernels: Kernels;

  constructor(libraries: LibraryPaths) {
    this.driver = new Driver(libraries.cuda, 0);
    this.stream = this.driver.createStream();
    const cache = mkdtempSync(join(tmpdir(), 'texlens-kernels-'));
    const { capability } = this.driver.info;
    const architecture = `sm_${capability}${capability >= 90 ? 'a' : ''}`;
    this.kernels = new Kernels(this.driver, new Compiler(libraries.nvrtc, architecture, cache));
  }

  /** Device memory with a copy of the array in it. */
  alloc(data: NodeJS.ArrayBufferView): Pointer {
    const pointer = this.reserve(data.byteLength);
    this.driver.upload(pointer, data);
    return pointer;
  }

  /** Device memory that nothing has written. */
  reserve(bytes: number): Pointer {
    return this.driver.allocate(bytes, 'a test');
  }

  /** Fills the array from device memory, after all work before. */
  read<T extends NodeJS.ArrayBufferView>(from: Pointer, to: T): T {
    this.synchronize();
    this.driver.download(to, from);
    return to;
  }

  launch(kernel: Kernel, { grid, block, args }: TestLaunch): void {
    const handle = this.kernels.function(kernel);
    const launch = { label: kernel.name, function: handle, grid, block, shared: kernel.shared };
    this.driver.launch({ ...launch, ...packArguments(args) }, this.stream);
  }

  synchronize(): void {
    this.driver.synchronize(this.stream, 'a test');
  }
}
