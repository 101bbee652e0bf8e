// NVRTC: CUDA C++ source to a binary for the device's architecture, cached on disk by the hash of all that decides it.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunError } from '../../../shared/errors.ts';
import { loadLibrary } from './library.ts';

type Call = (...args: unknown[]) => number;

export class Compiler {
  private readonly create: Call;
  private readonly compileProgram: Call;
  private readonly destroy: Call;
  private readonly logSize: Call;
  private readonly log: Call;
  private readonly size: Call;
  private readonly image: Call;
  readonly version: string;

  /** @param cache folder of compiled images */
  constructor(
    path: string,
    private readonly architecture: string,
    private readonly cache: string,
  ) {
    const library = loadLibrary(path);
    const f = (signature: string): Call => library.func(signature);
    this.create = f(
      'int nvrtcCreateProgram(_Out_ uint64_t *program, str source, str name, int headers, void *a, void *b)',
    );
    this.compileProgram = f('int nvrtcCompileProgram(uint64_t program, int count, str *options)');
    this.destroy = f('int nvrtcDestroyProgram(_Inout_ uint64_t *program)');
    this.logSize = f('int nvrtcGetProgramLogSize(uint64_t program, _Out_ size_t *size)');
    this.log = f('int nvrtcGetProgramLog(uint64_t program, void *log)');
    this.size = f('int nvrtcGetCUBINSize(uint64_t program, _Out_ size_t *size)');
    this.image = f('int nvrtcGetCUBIN(uint64_t program, void *image)');
    const version = f('int nvrtcVersion(_Out_ int *major, _Out_ int *minor)');
    const [major, minor]: [number[], number[]] = [[0], [0]];
    version(major, minor);
    this.version = `${major[0]}.${minor[0]}`;
  }

  /** The image of a source, from the cache or compiled now. `name` is what errors call it. */
  compile(source: string, name: string): Buffer {
    const options = [`--gpu-architecture=${this.architecture}`, '--std=c++17', '--fmad=true', '-default-device'];
    const hash = createHash('sha256')
      .update(JSON.stringify([this.version, options, source]))
      .digest('hex');
    const file = join(this.cache, `${hash.slice(0, 40)}.cubin`);
    try {
      return readFileSync(file);
    } catch {
      // Not compiled yet.
    }
    const image = this.build(source, name, options);
    try {
      mkdirSync(this.cache, { recursive: true });
      const temporary = `${file}.${process.pid}.tmp`;
      writeFileSync(temporary, image);
      renameSync(temporary, file);
    } catch {
      // A cache that cannot be written costs time, no result.
    }
    return image;
  }

  private build(source: string, name: string, options: readonly string[]): Buffer {
    const program: bigint[] = [0n];
    const check = (result: number, call: string) => {
      if (result !== 0) throw new RunError(`${call} of ${name}: NVRTC error ${result}.`);
    };
    check(this.create(program, source, `${name}.cu`, 0, null, null), 'nvrtcCreateProgram');
    const handle = Number(program[0]);
    const read = (sizeOf: Call, contents: Call, call: string): Buffer => {
      const size: (number | bigint)[] = [0];
      check(sizeOf(handle, size), call);
      const buffer = Buffer.alloc(Number(size[0]));
      check(contents(handle, buffer), call);
      return buffer;
    };
    try {
      const result = this.compileProgram(handle, options.length, options);
      if (result !== 0) {
        const log = read(this.logSize, this.log, 'nvrtcGetProgramLog').toString('utf8').replaceAll('\0', '');
        throw new RunError(`the CUDA kernels of ${name} do not compile for ${this.architecture}:\n${log}`);
      }
      return read(this.size, this.image, 'nvrtcGetCUBIN');
    } finally {
      this.destroy([BigInt(handle)]);
    }
  }
}
