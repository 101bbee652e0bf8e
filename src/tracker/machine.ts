// The process a run lives in, and what it runs on: identity for crash detection, git state, environment, hardware.
import { execFile } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { cpus, hostname, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { Environment, Git, Hardware, ProcessIdentity } from './schema.ts';

const run = promisify(execFile);

/** What a command printed, or null when it is not there, fails or takes long. */
export async function output(command: string, args: readonly string[], folder?: string): Promise<string | null> {
  try {
    const { stdout } = await run(command, args, { cwd: folder, timeout: 5000, windowsHide: true });
    return stdout;
  } catch {
    return null;
  }
}

function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Two processes with the same value see each other's pids. */
function machineId(): string {
  const boot = readOrNull(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  const namespace = readOrNull(() => readlinkSync('/proc/self/ns/pid'));
  return [hostname(), boot ?? process.platform, namespace ?? ''].join(' ');
}

/** Field 22 of /proc/PID/stat; the second field, the name, may hold spaces and brackets. */
function birthOf(pid: number): string | null {
  return readOrNull(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has died and only waits to be noticed.
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  });
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, machine: machineId(), birth: birthOf(process.pid) };
}

/** A process that cannot be looked at, on another machine, counts as gone after this much silence. */
const SILENCE_MS = 120_000;

/** Whether the process of a run still lives. */
export function isAlive({ pid, machine, birth }: ProcessIdentity, heartbeat: string): boolean {
  const silent = Date.now() - Date.parse(heartbeat) > SILENCE_MS;
  if (machine !== machineId()) return !silent;
  if (birth !== null) return birthOf(pid) === birth;
  try {
    process.kill(pid, 0);
    return !silent;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' && !silent;
  }
}

/** The state of the working tree around a folder; null outside git. */
export async function gitState(folder: string): Promise<Git | null> {
  const git = (...args: string[]) => output('git', args, folder);
  const [commit, branch, changes, remote] = await Promise.all([
    git('rev-parse', 'HEAD'),
    git('rev-parse', '--abbrev-ref', 'HEAD'),
    git('status', '--porcelain', '--untracked-files=no'),
    git('remote', 'get-url', 'origin'),
  ]);
  if (commit === null || changes === null) return null;
  return {
    commit: commit.trim(),
    branch: branch?.trim() ?? '',
    dirty: changes.trim() !== '',
    // A remote may carry a user and a token.
    remote: (remote ?? '').trim().replace(/\/\/[^/@]*@/, '//'),
  };
}

/** What of the surroundings bears on a run; values of flags that name a key, a token or a password are left out. */
export function environment(): Environment {
  const manifest = new URL('../../package.json', import.meta.url);
  const version = readOrNull(() => (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version);
  return {
    program: `texlens ${version ?? ''}`.trim(),
    node: process.version,
    platform: `${process.platform}-${process.arch} ${release()}`,
    host: hostname(),
    folder: process.cwd(),
    command: withoutSecrets(process.argv).join(' '),
  };
}

export function withoutSecrets(argv: readonly string[]): string[] {
  const secret = /^--[\w-]*(key|token|password|secret)[\w-]*/i;
  return argv.map((word, i) => {
    const flag = secret.exec(word)?.[0];
    if (flag !== undefined && word.startsWith(`${flag}=`)) return `${flag}=***`;
    return i > 0 && secret.exec(argv[i - 1] as string)?.[0] === argv[i - 1] ? '***' : word;
  });
}

export async function hardware(): Promise<Hardware> {
  const text = await output('nvidia-smi', [
    '--query-gpu=name,memory.total,driver_version',
    '--format=csv,noheader,nounits',
  ]);
  const gpus = (text ?? '').split('\n').flatMap((line) => {
    const [name, megabytes, driver] = line.split(', ');
    return name && Number(megabytes) > 0
      ? [{ name, memoryBytes: Number(megabytes) * 2 ** 20, driver: driver ?? '' }]
      : [];
  });
  return { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: cpus().length, memoryBytes: totalmem(), gpus };
}
