// texlens doctor: what this machine can run and, where it cannot, the reason and the next step.
import { readdir, stat, statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { messageOf } from '../../shared/errors.ts';
import { formatBytes, say } from '../../shared/log.ts';
import { printJson, sayTable, withJsonOption } from '../output.ts';

export interface Check {
  name: string;
  ok: boolean;
  /** Without a required check nothing can be trained or predicted here. */
  required: boolean;
  found: string;
  reason?: string;
  next?: string;
}

const MIN_NODE: readonly [number, number] = [20, 9];
const GIB = 2 ** 30;

export function command(): Command {
  return withJsonOption(new Command('doctor'))
    .description('Reports what this machine can run: each check ok or no, with the reason and the next step.')
    .addHelpText('after', '\nExample:\n  texlens doctor\n\nExits 1 when a check that everything needs says no.')
    .action(async (options: { json?: boolean }) => {
      const checks = await examine();
      const ready = checks.every((check) => check.ok || !check.required);
      if (!ready) process.exitCode = 1;
      sayTable(checks.map((check) => [check.ok ? 'ok' : 'no', check.name, check.found]));
      for (const check of checks) {
        if (!check.ok) say(`\n${check.name}: ${check.reason ?? 'not available'}\n  next: ${check.next ?? 'none'}`);
      }
      say(
        ready
          ? `\nThis machine can train and predict ${checks.some(({ name, ok }) => name === 'CUDA' && ok) ? 'on its card and ' : ''}on its CPU.`
          : '\nThis machine cannot run texlens yet: see above.',
      );
      if (options.json) printJson({ ready, checks });
    });
}

/** Every check, in the order shown. A check reports its failure; it never throws. */
export async function examine(): Promise<Check[]> {
  return [
    nodeCheck(process.versions.node),
    coresCheck(),
    memoryCheck(freemem(), totalmem()),
    await diskCheck(process.cwd()),
    await onnxCheck(),
    await sharpCheck(),
    await baseModelCheck(fileURLToPath(new URL('../../../models/base/', import.meta.url))),
    await cudaCheck(),
  ];
}

export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const ok = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  const check = { name: 'Node', ok, required: true, found: version };
  if (ok) return check;
  const wanted = MIN_NODE.join('.');
  return { ...check, reason: `expected ${wanted} or newer, got ${version}`, next: `install Node ${wanted} or newer` };
}

function coresCheck(): Check {
  const model = cpus()[0]?.model.trim();
  const found = `${availableParallelism()} usable${model ? `, ${model}` : ''}`;
  return { name: 'CPU cores', ok: true, required: false, found };
}

export function memoryCheck(free: number, total: number): Check {
  const ok = free >= GIB;
  const check = { name: 'memory', ok, required: false, found: `${formatBytes(free)} free of ${formatBytes(total)}` };
  if (ok) return check;
  return {
    ...check,
    reason: 'less than 1 GiB is free: even the bundled model may not fit',
    next: 'close other programs, or lower train.batch_tokens',
  };
}

async function diskCheck(folder: string): Promise<Check> {
  const base = { name: 'disk', required: false };
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const check = { ...base, ok: free >= GIB, found: `${formatBytes(free)} free in ${folder}` };
    if (check.ok) return check;
    return {
      ...check,
      reason: 'less than 1 GiB is free: checkpoints may not fit',
      next: 'free space, or set output to another disk',
    };
  } catch (error) {
    return { ...base, ok: false, found: folder, reason: messageOf(error), next: 'run from a folder that can be read' };
  }
}

const REINSTALL = 'run npm ci in the folder of texlens (on Linux without optional packages left out)';

async function onnxCheck(): Promise<Check> {
  const base = { name: 'ONNX Runtime', required: true };
  try {
    const ort = await import('onnxruntime-node');
    const names = ort
      .listSupportedBackends()
      .filter((backend) => backend.bundled)
      .map((backend) => backend.name);
    const ok = names.includes('cpu');
    const found = `${ort.env.versions.node ?? ort.env.versions.common}, providers ${names.join(', ') || 'none'}`;
    if (ok) return { ...base, ok, found };
    return { ...base, ok, found, reason: 'this build has no cpu provider', next: REINSTALL };
  } catch (error) {
    return { ...base, ok: false, found: 'does not load', reason: messageOf(error), next: REINSTALL };
  }
}

async function sharpCheck(): Promise<Check> {
  const base = { name: 'sharp (images)', required: true };
  try {
    const { default: sharp } = await import('sharp');
    return { ...base, ok: true, found: `${sharp.versions.sharp ?? 'unknown'}, libvips ${sharp.versions.vips}` };
  } catch (error) {
    return { ...base, ok: false, found: 'does not load', reason: messageOf(error), next: REINSTALL };
  }
}

export async function baseModelCheck(folder: string): Promise<Check> {
  const base = { name: 'bundled base model', required: false };
  const next = 'install texlens again, or give --model the folder of another Qwen2-VL';
  try {
    const names = await readdir(folder);
    const missing = ['config.json', 'tokenizer.json'].filter((name) => !names.includes(name));
    const weights = names.filter((name) => name.endsWith('.safetensors'));
    if (weights.length === 0) missing.push('*.safetensors');
    if (missing.length > 0) {
      return { ...base, ok: false, found: folder, reason: `the folder lacks ${missing.join(', ')}`, next };
    }
    const sizes = await Promise.all(weights.map(async (name) => (await stat(join(folder, name))).size));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    return { ...base, ok: true, found: `${folder} (${formatBytes(bytes)} of weights)` };
  } catch (error) {
    return { ...base, ok: false, found: 'missing', reason: messageOf(error), next };
  }
}

/** @param folders where to look for the libraries, the usual places unless given */
export async function cudaCheck(folders?: readonly string[]): Promise<Check> {
  const base = { name: 'CUDA', required: false };
  const { findLibraries } = await import('../../backends/cuda/ffi/library.ts');
  const libraries = findLibraries(folders);
  const next = 'train on the CPU (--device cpu), or install what is missing';
  if ('missing' in libraries) return { ...base, ok: false, found: 'no usable card', reason: libraries.missing, next };
  try {
    const { Driver } = await import('../../backends/cuda/ffi/driver.ts');
    const { LEAST_CAPABILITY } = await import('../../backends/cuda/device.ts');
    const driver = new Driver(libraries.cuda, 0);
    const { name, capability, multiprocessors } = driver.info;
    const { free, total } = driver.memory();
    const found = `${name}, compute capability ${(capability / 10).toFixed(1)}, ${multiprocessors} multiprocessors, ${formatBytes(free)} free of ${formatBytes(total)}`;
    const ok = capability >= LEAST_CAPABILITY;
    return ok
      ? { ...base, ok, found }
      : { ...base, ok, found, reason: 'expected compute capability 8.0 or newer', next };
  } catch (error) {
    return { ...base, ok: false, found: libraries.cuda, reason: messageOf(error), next };
  }
}
