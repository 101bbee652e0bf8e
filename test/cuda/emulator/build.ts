// Builds the CUDA emulator: one shared library that stands in for libcuda, libnvrtc and libcublasLt on a machine with
// g++ and no GPU. Kept under node_modules/.cache by the hash of its sources; the kernels it compiles lie beside it.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const sources = fileURLToPath(new URL('.', import.meta.url));
const cache = fileURLToPath(new URL('../../../node_modules/.cache/texlens-cuda-emulator', import.meta.url));

/** The path of the library, built when it is not there yet; null, with the reason on stderr, where it cannot be. */
export async function buildEmulator(): Promise<string | null> {
  const files = (await readdir(sources)).filter((name) => /\.(cpp|h)$/.test(name)).sort();
  const hash = createHash('sha256').update(process.arch);
  for (const name of files) hash.update(name).update(await readFile(join(sources, name)));
  const version = hash.digest('hex').slice(0, 20);
  const folder = join(cache, version);
  const library = join(folder, 'libcuda_emulated.so');
  if (await exists(library)) return library;

  const reason =
    process.platform === 'linux' ? await missingCompiler() : `it runs on Linux, not on ${process.platform}`;
  if (reason) {
    process.stderr.write(`The CUDA emulator is not built, and its tests are skipped: ${reason}\n`);
    return null;
  }
  await mkdir(folder, { recursive: true });
  // Beside and renamed: another test process may build at the same time.
  const partial = `${library}.${process.pid}`;
  await run('g++', [
    ...['-std=c++17', '-O2', '-shared', '-fPIC', '-fvisibility=hidden', '-Wall', '-Werror'],
    ...[`-DEMULATOR_SOURCES="${sources}"`, `-DEMULATOR_CACHE="${folder}"`, `-DEMULATOR_VERSION="${version}"`],
    ...files.filter((name) => name.endsWith('.cpp')).map((name) => join(sources, name)),
    ...['-o', partial, '-ldl'],
  ]);
  await rename(partial, library);
  return library;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const missingCompiler = (): Promise<string | null> =>
  run('g++', ['--version']).then(
    () => null,
    () => 'g++ was not found',
  );
