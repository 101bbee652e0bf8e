// The kernels' sources, and their compiled functions: each text is compiled once, and kept on disk between runs.
import { readFileSync } from 'node:fs';
import type { Driver, Handle } from './ffi/driver.ts';
import type { Compiler } from './ffi/nvrtc.ts';

export type KernelFile = 'gemv' | 'greedy' | 'norm' | 'reduce' | 'rows' | 'loss' | 'optimizer' | 'sampling';

/** A kernel to launch: its text, with the macros it is compiled under, and its name in it. */
export interface Kernel {
  readonly source: string;
  readonly name: string;
  /** dynamic shared memory in bytes */
  readonly shared: number;
  /** it calls waitForPrevious, so it may be launched before the kernel in front of it has ended */
  readonly waits?: boolean;
}

/** A kernel that calls waitForPrevious. */
export const waiting = (kernel: Kernel): Kernel => ({ ...kernel, waits: true });

const texts = new Map<string, string>();

function textOf(file: string): string {
  let text = texts.get(file);
  if (text === undefined) {
    text = readFileSync(new URL(`./kernels/${file}`, import.meta.url), 'utf8');
    texts.set(file, text);
  }
  return text;
}

type Macros = Readonly<Record<string, string | number>>;

/** A kernel of a file under kernels/. */
export const kernel = (file: KernelFile, name: string, macros: Macros = {}): Kernel =>
  kernelOf([`${file}.cu`], name, macros);

/** A kernel of several files, one after another. */
export function kernelOf(files: readonly string[], name: string, macros: Macros, shared = 0): Kernel {
  const defines = Object.entries(macros).map(([macro, value]) => `#define ${macro} ${value}\n`);
  return { source: [...defines, ...files.map(textOf)].join(''), name, shared };
}

export class Kernels {
  private readonly modules = new Map<string, Handle>();
  private readonly functions = new Map<string, Handle>();

  constructor(
    private readonly driver: Driver,
    private readonly compiler: Compiler,
  ) {}

  private load(source: string, title: string): Handle {
    const text = `${textOf('prelude.cuh')}\n${textOf('common.cuh')}\n${source}`;
    return this.driver.loadModule(this.compiler.compile(text, title));
  }

  /** Compiles kernels of unlike names as one source, which takes a fraction of the time of each by itself. */
  compileTogether(kernels: readonly Kernel[]): void {
    const sources = [...new Set(kernels.map(({ source }) => source))]
      .filter((source) => !this.modules.has(source))
      .sort();
    if (sources.length === 0) return;
    const module = this.load(sources.join('\n'), `${sources.length} elementwise kernels`);
    for (const source of sources) this.modules.set(source, module);
  }

  function({ source, name, shared }: Kernel): Handle {
    const module = this.modules.get(source) ?? this.load(source, name);
    this.modules.set(source, module);
    const key = `${module} ${name} ${shared}`;
    const found = this.functions.get(key) ?? this.driver.function(module, name, shared);
    this.functions.set(key, found);
    return found;
  }
}
