// Finds the driver, NVRTC and cuBLASLt by soname over the usual places, and loads them through koffi. Nothing here
// needs a compiler or the toolkit's headers.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';
import { messageOf, RunError } from '../../../shared/errors.ts';

/** Paths of the three libraries. */
export interface LibraryPaths {
  readonly cuda: string;
  readonly nvrtc: string;
  readonly cublasLt: string;
}

/** What each library is called (several major versions, newest first), and what brings it. */
const LIBRARIES = {
  cuda: { sonames: ['libcuda.so.1'], brings: 'the NVIDIA driver' },
  nvrtc: {
    sonames: ['libnvrtc.so.13', 'libnvrtc.so.12'],
    brings: 'the CUDA runtime libraries (Debian: libnvrtc12; pip: nvidia-cuda-nvrtc)',
  },
  cublasLt: {
    sonames: ['libcublasLt.so.13', 'libcublasLt.so.12'],
    brings: 'the CUDA runtime libraries (Debian: libcublaslt12; pip: nvidia-cublas)',
  },
} as const;

/** Where the dynamic linker, distributions, toolkits, containers and pip put them. */
function libraryFolders(): string[] {
  const variable = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '');
  const toolkits = listed('/usr/local').filter((name) => /^cuda/.test(name));
  const virtual = process.env.VIRTUAL_ENV ? [process.env.VIRTUAL_ENV] : [];
  const pip = [...virtual, '/opt/venv', '/usr', '/usr/local'].flatMap((root) =>
    ['lib', 'lib64']
      .flatMap((lib) => listed(join(root, lib)).map((name) => join(root, lib, name)))
      .filter((path) => /\/python3/.test(path))
      .flatMap((path) => ['site-packages', 'dist-packages'].map((packages) => join(path, packages, 'nvidia')))
      .flatMap((nvidia) => listed(nvidia).map((name) => join(nvidia, name, 'lib'))),
  );
  return [
    ...variable,
    ...toolkits.flatMap((name) => [`/usr/local/${name}/lib64`, `/usr/local/${name}/targets/x86_64-linux/lib`]),
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
    '/usr/lib64',
    '/usr/lib',
    '/usr/local/nvidia/lib64',
    '/usr/lib/wsl/lib',
    '/run/opengl-driver/lib',
    ...pip,
  ];
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The libraries' paths, or what is missing and what brings it. */
export function findLibraries(
  folders: readonly string[] = libraryFolders(),
): LibraryPaths | { readonly missing: string } {
  const found: Record<string, string> = {};
  for (const [name, { sonames, brings }] of Object.entries(LIBRARIES)) {
    const path = sonames.flatMap((soname) => folders.map((folder) => join(folder, soname))).find(existsSync);
    if (path === undefined)
      return { missing: `no ${sonames.join(' or ')} in ${folders.length} usual folders; install ${brings}` };
    found[name] = path;
  }
  return found as unknown as LibraryPaths;
}

export function loadLibrary(path: string): LibraryHandle {
  try {
    return koffi.load(path);
  } catch (error) {
    throw new RunError(`${path}: does not load (${messageOf(error)}); reinstall it, or use --device cpu.`);
  }
}

/** The address of a buffer's bytes; the buffer must stay referenced while native code may use it. */
export const addressOf = (buffer: NodeJS.ArrayBufferView): number => Number(koffi.address(buffer));

/** Native memory of `length` bytes as a Buffer. */
export const viewOf = (address: number, length: number): Buffer => Buffer.from(koffi.view(BigInt(address), length));

export type Native<T extends (...args: never[]) => unknown> = KoffiFunc<T>;
export type { LibraryHandle };
